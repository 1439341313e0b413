package atpn.core

import java.io.File

/** The folder of the project, of which the tests read models/ and tests/golden/. */
object Repository {
    val root: File = File(setting("atpn.repository"))
    val golden: File = File(root, "tests/golden")
    val models: File = File(root, "models")

    /** A Java property that the build hands to the tests. */
    fun setting(name: String): String =
        System.getProperty(name)
            ?: throw IllegalStateException("expected -D$name=...: run this by make android-test")
}
