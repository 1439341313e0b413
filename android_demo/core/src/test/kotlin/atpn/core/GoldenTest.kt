package atpn.core

import org.junit.Assert.assertNull
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized

/**
 * This package against the golden vectors of the Python runtime, those of the networks left out.
 */
@RunWith(Parameterized::class)
class GoldenTest(private val case: GoldenCase) {
    @Test
    fun matches() {
        val read = READERS[case.stage]
            ?: throw AssertionError("expected a reader for the stage ${case.stage}")
        assertNull(case.firstDifference(read(case.inputs)))
    }

    companion object {
        @JvmStatic
        @Parameterized.Parameters(name = "{0}")
        fun cases(): List<GoldenCase> =
            stagesOf(Repository.golden)
                .filter { it != END_TO_END }
                .flatMap { casesOf(Repository.golden, it) }
    }
}
