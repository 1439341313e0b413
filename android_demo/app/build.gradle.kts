import groovy.json.JsonSlurper
import java.security.MessageDigest
import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
    alias(libs.plugins.kotlin.compose)
}

/** Puts the networks of the app into its assets, each checked against the manifest. */
abstract class CopyModels : DefaultTask() {
    @get:InputDirectory
    abstract val models: DirectoryProperty

    @get:Input
    abstract val precision: Property<String>

    @get:OutputDirectory
    abstract val assets: DirectoryProperty

    @TaskAction
    fun copy() {
        val from = models.get().asFile
        val to = assets.get().asFile.resolve("models")
        to.deleteRecursively()
        val manifest = JsonSlurper().parse(from.resolve("manifest.json")) as Map<*, *>
        val artifacts = (manifest["models"] as List<*>)
            .flatMap { (it as Map<*, *>)["artifacts"] as List<*> }
            .map { it as Map<*, *> }
            .filter { it["runtime"] == "tflite" && it["precision"] == precision.get() }
        check(artifacts.isNotEmpty()) { "expected tflite ${precision.get()} files in the manifest" }
        for (artifact in artifacts) {
            val file = from.resolve(artifact["path"] as String)
            val digest = MessageDigest.getInstance("SHA-256").digest(file.readBytes())
                .joinToString("") { "%02x".format(it) }
            check(digest == artifact["sha256"]) {
                "expected SHA-256 ${artifact["sha256"]} of $file, got $digest"
            }
            file.copyTo(to.resolve(file.name))
        }
        for (name in listOf("manifest.json", "LICENSE")) {
            from.resolve(name).copyTo(to.resolve(name))
        }
    }
}

android {
    namespace = "atpn.app"
    compileSdk = 35

    defaultConfig {
        applicationId = "atpn.app"
        minSdk = 23
        targetSdk = 35
        versionCode = 1
        versionName = "0.1.0"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    buildFeatures {
        compose = true
    }

    sourceSets["main"].kotlin.srcDirs("src/shared/kotlin", "../core/src/json/kotlin")
}

kotlin {
    compilerOptions.jvmTarget.set(JvmTarget.JVM_17)
}

androidComponents {
    onVariants { variant ->
        val name = "copy${variant.name.replaceFirstChar { it.uppercase() }}Models"
        val copyModels = tasks.register<CopyModels>(name) {
            models.set(rootDir.parentFile.resolve("models"))
            precision.set("float16")
        }
        variant.sources.assets?.addGeneratedSourceDirectory(copyModels, CopyModels::assets)
    }
}

dependencies {
    implementation(project(":core"))
    implementation(libs.activity.compose)
    implementation(libs.camera.camera2)
    implementation(libs.camera.lifecycle)
    implementation(libs.camera.view)
    implementation(platform(libs.compose.bom))
    implementation(libs.compose.foundation)
    implementation(libs.compose.material3)
    implementation(libs.compose.ui)
    implementation(libs.lifecycle.runtime.compose)
    implementation(libs.lifecycle.viewmodel.compose)
    implementation(libs.litert)
}
