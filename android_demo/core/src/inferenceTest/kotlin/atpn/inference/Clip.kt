/** What tools/reference.py wrote: the clip's frames, and what the Python runtime gives for them. */

package atpn.inference

import atpn.core.Fields
import atpn.core.Frame
import atpn.core.Repository
import atpn.core.fieldsOf
import atpn.core.intOf
import atpn.core.itemsOf
import atpn.core.numberOf
import atpn.core.textOf
import atpn.json.parseJson
import java.io.Closeable
import java.io.File
import java.io.RandomAccessFile

class Clip : Closeable {
    private val folder = File(Repository.setting("atpn.reference"))
    private val facts = fieldsOf(parseJson(File(folder, "clip.json").readText()))
    private val file = RandomAccessFile(File(folder, "frames.rgba"), "r")
    private val width = intOf(facts["width"])
    private val height = intOf(facts["height"])

    /** Relative to the repository. */
    val path: String = textOf(facts["clip"])
    val framesPerSecond: Double = numberOf(facts["frames_per_second"])
    val size: Int = intOf(facts["frames"])

    init {
        check(file.length() == 4L * width * height * size) {
            "expected $size frames of $width x $height, got ${file.length()} bytes"
        }
    }

    fun frame(index: Int): Frame {
        val rgba = ByteArray(4 * width * height)
        file.seek(index.toLong() * rgba.size)
        file.readFully(rgba)
        return Frame(width, height, rgba)
    }

    /** Python's results per frame, of the run with this name. */
    fun reference(run: String): List<Fields> {
        val frames = itemsOf(parseJson(File(folder, "$run.json").readText())).map { fieldsOf(it) }
        check(frames.size == size) { "expected $size frames in $run.json, got ${frames.size}" }
        return frames
    }

    override fun close() = file.close()
}
