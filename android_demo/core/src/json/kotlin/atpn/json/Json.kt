/** JSON by the reader that every Android brings along, for the core, which brings none. */

package atpn.json

import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject
import org.json.JSONTokener

/**
 * Parse a text.
 *
 * @return objects as Map, lists as List, the rest as Number, String, Boolean and null.
 * @throws JSONException it is no JSON, or more than one value.
 */
fun parseJson(text: String): Any? {
    val tokens = JSONTokener(text)
    val document = plain(tokens.nextValue())
    if (tokens.nextClean() != '\u0000') {
        throw tokens.syntaxError("expected the end after the first value")
    }
    return document
}

private fun plain(value: Any?): Any? = when (value) {
    JSONObject.NULL -> null
    is JSONArray -> List(value.length()) { index -> plain(value.get(index)) }
    is JSONObject -> {
        val fields = LinkedHashMap<String, Any?>()
        for (key in value.keys()) {
            fields[key] = plain(value.get(key))
        }
        fields
    }
    else -> value
}
