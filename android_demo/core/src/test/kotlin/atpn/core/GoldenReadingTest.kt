package atpn.core

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** The reader of golden vectors itself: it can fail. */
class GoldenReadingTest {
    @get:Rule
    val folder = TemporaryFolder()

    @Test
    fun `every stage has a reader, and every reader a stage`() {
        assertEquals((READERS.keys + END_TO_END).sorted(), stagesOf(Repository.golden))
    }

    @Test
    fun `a stage without cases is an error`() {
        folder.newFolder("decode")
        val error = assertThrows(IllegalStateException::class.java) {
            casesOf(folder.root, "decode")
        }
        assertEquals("expected golden cases in decode, found none", error.message)
    }

    @Test
    fun `a file with other fields is an error`() {
        for (text in listOf(
            "[]",
            """{"inputs": {}, "expected": {"a": 1}}""",
            """{"inputs": {}, "expected": {"a": 1}, "tolerance": {"b": 1}}""",
            """{"inputs": {}, "expected": {}, "tolerance": {}}"""
        )) {
            val stage = folder.newFolder()
            File(stage, "case.json").writeText(text)
            assertThrows(text, IllegalStateException::class.java) {
                casesOf(folder.root, stage.name)
            }
        }
    }

    @Test
    fun `the comparison can fail`() {
        val unequal = listOf<Pair<Any?, Any?>>(
            listOf(1) to listOf(1.2),
            listOf(1, 2) to listOf(1),
            mapOf("a" to 1) to mapOf("b" to 1),
            true to false,
            "tracked" to "detected",
            null to 1,
            Double.NaN to 1,
            1 to null,
            listOf(mapOf("a" to listOf(1, 2))) to listOf(mapOf("a" to listOf(1, 3)))
        )
        for ((got, expected) in unequal) {
            val difference = firstDifference(got, expected, 0.1, "value")
            assertNotNull("$got is not $expected", difference)
            assertTrue(difference!!.startsWith("value"))
        }
        assertNull(firstDifference(listOf(1.05f, "a", null), listOf(1, "a", null), 0.1, "value"))
    }
}
