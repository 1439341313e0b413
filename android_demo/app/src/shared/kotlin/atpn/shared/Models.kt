/** The project's networks out of an app's assets. */

package atpn.shared

import android.content.res.AssetManager
import atpn.core.AtpnError
import atpn.core.InferenceEngine
import atpn.core.ManifestError
import atpn.core.ModelNotFoundError
import atpn.core.ModelSpec
import atpn.core.TrackerConfig
import atpn.core.chooseArtifact
import atpn.core.readManifest
import atpn.core.verifyArtifact
import atpn.json.parseJson
import atpn.live.LiveTracker
import java.io.IOException
import org.json.JSONException

private const val FOLDER = "models" // of the assets
private const val RUNTIME = "tflite" // of the manifest's files

/** Makes an engine for a network. */
interface EngineFactory {
    /**
     * @param model the bytes of the file, verified: what was hashed is what runs.
     * @throws atpn.core.AtpnError the engine is not there, or cannot run the file.
     */
    fun create(spec: ModelSpec, model: ByteArray): InferenceEngine
}

/**
 * Load both networks.
 *
 * @param precision of the files in the assets: "float16", or another that the build put there.
 * @throws atpn.core.AtpnError a file is missing, is not the one of the manifest, or does not run.
 */
fun loadLiveTracker(
    assets: AssetManager,
    factory: EngineFactory,
    precision: String,
    config: TrackerConfig = TrackerConfig()
): LiveTracker {
    val alignment = loadEngine(assets, factory, "atpn", precision)
    try {
        return LiveTracker(alignment, loadEngine(assets, factory, "detector", precision), config)
    } catch (error: AtpnError) {
        alignment.close()
        throw error
    }
}

/**
 * Load one network.
 *
 * @param model its name: "atpn" or "detector".
 * @throws atpn.core.AtpnError a file is missing, is not the one of the manifest, or does not run.
 */
fun loadEngine(
    assets: AssetManager,
    factory: EngineFactory,
    model: String,
    precision: String
): InferenceEngine {
    val manifest = try {
        readManifest(parseJson(String(readAsset(assets, "manifest.json"), Charsets.UTF_8)))
    } catch (error: JSONException) {
        throw ManifestError("expected JSON in manifest.json: ${error.message}", error)
    }
    val choice = chooseArtifact(manifest, model, RUNTIME, precision)
    val bytes = readAsset(assets, choice.artifact.path)
    verifyArtifact(choice.artifact, bytes)
    return factory.create(choice.spec, bytes)
}

private fun readAsset(assets: AssetManager, name: String): ByteArray = try {
    assets.open("$FOLDER/$name").use { it.readBytes() }
} catch (error: IOException) {
    throw ModelNotFoundError("expected $name in the app's assets: ${error.message}", error)
}
