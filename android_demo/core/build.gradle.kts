import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
}

kotlin {
    compilerOptions.jvmTarget.set(JvmTarget.JVM_17)
    sourceSets["test"].kotlin.srcDir("src/json/kotlin")
}

dependencies {
    testImplementation(libs.android.json) // what org.json is on Android
    testImplementation(libs.junit)
}

tasks.test {
    // The golden vectors of the repository. src/inferenceTest, the tests with real networks, needs
    // the project's Python: `make android-test`.
    systemProperty("atpn.repository", rootDir.parentFile.path)
    inputs.dir(rootDir.parentFile.resolve("tests/golden"))
    inputs.dir(rootDir.parentFile.resolve("models"))
}
