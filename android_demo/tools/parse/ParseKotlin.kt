/**
 * Parse Kotlin files by the compiler's own parser: `ParseKotlin FILE...`. Prints each place that is
 * no Kotlin; exit status 1 where there is one. Names and types are not looked at: the app's
 * libraries are not there when this runs.
 */

import com.intellij.openapi.util.Disposer
import com.intellij.psi.PsiElement
import com.intellij.psi.PsiErrorElement
import java.io.File
import kotlin.system.exitProcess
import org.jetbrains.kotlin.cli.common.CLIConfigurationKeys
import org.jetbrains.kotlin.cli.common.messages.MessageCollector
import org.jetbrains.kotlin.cli.jvm.compiler.EnvironmentConfigFiles
import org.jetbrains.kotlin.cli.jvm.compiler.KotlinCoreEnvironment
import org.jetbrains.kotlin.config.CompilerConfiguration
import org.jetbrains.kotlin.psi.KtPsiFactory

fun main(arguments: Array<String>) {
    val configuration = CompilerConfiguration()
    configuration.put(CLIConfigurationKeys.MESSAGE_COLLECTOR_KEY, MessageCollector.NONE)
    val environment = KotlinCoreEnvironment.createForProduction(
        Disposer.newDisposable(), configuration, EnvironmentConfigFiles.JVM_CONFIG_FILES
    )
    val factory = KtPsiFactory(environment.project)
    val problems = arguments.flatMap { name ->
        val text = File(name).readText()
        errorsIn(factory.createFile(File(name).name, text)).map { error ->
            val line = text.take(error.textOffset).count { it == '\n' } + 1
            "$name:$line: ${error.errorDescription}"
        }
    }
    problems.forEach { System.err.println(it) }
    println("${arguments.size} Kotlin files parsed, ${problems.size} errors")
    exitProcess(if (problems.isEmpty() && arguments.isNotEmpty()) 0 else 1)
}

private fun errorsIn(element: PsiElement): List<PsiErrorElement> =
    listOfNotNull(element as? PsiErrorElement) + element.children.flatMap { errorsIn(it) }
