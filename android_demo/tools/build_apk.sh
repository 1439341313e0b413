#!/usr/bin/env bash
# Build out/atpn-camera2.apk from Debian's packages alone: `android_demo/tools/build_apk.sh`.
#
# No Gradle, no Google repository: Kotlin, aapt, zipalign and apksigner of this system's Debian, the
# platform 23 and dx of Debian 11. It proves that the sources compile against Android and become an
# APK; the inference engine is not in Debian, so the APK shows the camera no faces.
#
# `make apk` hands in PYTHON, KOTLINC, KOTLIN_STDLIB and JDK. `android_demo/tools/build_apk.sh tools`
# only finds or installs the tools. Exit status 3: a tool cannot be had here.
set -euo pipefail

if [ $# -gt 1 ] || { [ $# -eq 1 ] && [ "$1" != tools ]; }; then
  printf 'expected no argument, or "tools", got: %s\n' "$*" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
. tools/debian.sh

readonly OUT=out/apk
readonly SDK=.tools/android-sdk
readonly ANDROID=$SDK/usr/lib/android-sdk/platforms/android-23/android.jar
readonly DX=$SDK/usr/share/java/com.android.dx.jar
readonly MIN_SDK=23

unavailable() { # unavailable REASON
  printf '\n*** NO APK WAS BUILT: %s\n' "$1" >&2
  exit 3
}

require_tools() {
  local tool missing=()
  for tool in aapt zipalign apksigner unzip; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      "${missing[@]}" >&2 || unavailable "apt-get could not install ${missing[*]}"
  elif [ ${#missing[@]} -gt 0 ]; then
    unavailable "missing: ${missing[*]} (apt install ${missing[*]})"
  fi
  if ! [ -r "$ANDROID" ] || ! [ -r "$DX" ]; then
    echo "unpacking Android's platform 23 and dx from Debian 11"
    unpack_from bullseye "$SDK" libandroid-23-java dalvik-exchange &&
      [ -r "$ANDROID" ] && [ -r "$DX" ] ||
      unavailable "Debian 11 could not be reached ($MIRROR); it may have left the mirrors"
  fi
}

kotlin() { # kotlin ARGUMENT...: compile; Java's remark about an old option of Debian's script is left out
  "$KOTLINC" -jvm-target 1.6 -no-jdk -Werror "$@" \
    2> >(grep -v 'Options -Xverify:none and -noverify were deprecated' >&2)
}

sources() { find "$@" -name '*.kt'; }

compile() {
  rm -rf "$OUT"
  mkdir -p "$OUT"/{gen,resources,stubs,classes,dex}
  # The core against Android's own classes: what is not in the platform 23 does not compile.
  kotlin -cp "$ANDROID" -d "$OUT/core.jar" $(sources core/src/main/kotlin)
  "$JDK/bin/javac" -nowarn -Xlint:-options --release 8 -d "$OUT/stubs" \
    $(find camera2/stubs -name '*.java')
  aapt package -f -m -J "$OUT/gen" -M camera2/AndroidManifest.xml -S camera2/res -I "$ANDROID"
  "$JDK/bin/javac" -nowarn -Xlint:-options --release 8 -d "$OUT/resources" \
    $(find "$OUT/gen" -name '*.java')
  kotlin -cp "$ANDROID:$OUT/core.jar:$OUT/stubs:$OUT/resources" -d "$OUT/app.jar" \
    $(sources core/src/json/kotlin app/src/shared/kotlin camera2/src)
}

compile_page() { # the code of the page "put it into your app", as it stands there
  mkdir -p "$OUT/page"
  awk '/^```kotlin$/ { on = 1; next } /^```$/ { on = 0 } on' ../docs/android.md >"$OUT/page/Page.kt"
  [ -s "$OUT/page/Page.kt" ] || {
    echo "expected Kotlin in docs/android.md, there is none" >&2
    exit 1
  }
  kotlin -cp "$ANDROID:$OUT/core.jar:$OUT/stubs:$OUT/app.jar" -d "$OUT/page" "$OUT/page/Page.kt"
}

to_dex() { # all that the app runs, one file; the stubs of the engine stay out
  local jar
  for jar in "$KOTLIN_STDLIB" "$OUT/core.jar" "$OUT/app.jar"; do
    unzip -qo "$jar" -x 'META-INF/*' -d "$OUT/classes"
  done
  cp -r "$OUT/resources/." "$OUT/classes"
  "$JDK/bin/java" -cp "$DX" com.android.dx.command.Main --dex --min-sdk-version=$MIN_SDK \
    --output="$OUT/dex/classes.dex" "$OUT/classes"
}

to_apk() { # a key made on the spot: the APK is for trying out
  "$PYTHON" tools/copy_models.py "$OUT/assets/models"
  aapt package -f -M camera2/AndroidManifest.xml -S camera2/res -A "$OUT/assets" -0 tflite \
    -I "$ANDROID" -F "$OUT/unaligned.apk"
  (cd "$OUT/dex" && aapt add ../unaligned.apk classes.dex >/dev/null)
  zipalign -f 4 "$OUT/unaligned.apk" "$OUT/unsigned.apk"
  "$JDK/bin/keytool" -genkeypair -keystore "$OUT/key.p12" -storetype PKCS12 -storepass android \
    -alias demo -keyalg RSA -keysize 2048 -validity 365 -dname CN=demo 2>/dev/null
  apksigner sign --ks "$OUT/key.p12" --ks-pass pass:android --min-sdk-version $MIN_SDK \
    --out "$OUT/signed.apk" "$OUT/unsigned.apk"
  apksigner verify --min-sdk-version $MIN_SDK "$OUT/signed.apk"
  mv "$OUT/signed.apk" out/atpn-camera2.apk
}

back_to_java() { # for the tests, which then run what the APK has; left out where enjarify is missing
  if ! command -v enjarify >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get install -y -qq --no-install-recommends enjarify >/dev/null 2>&1 || true
  fi
  command -v enjarify >/dev/null || return 0
  PYTHON=/usr/bin/python3 enjarify -f -o "$OUT/from_dex.jar" "$OUT/dex/classes.dex" >/dev/null
}

require_tools
if [ "${1:-}" = tools ]; then exit 0; fi
compile
compile_page
to_dex
to_apk
back_to_java
echo "built android_demo/out/atpn-camera2.apk ($(stat -c %s out/atpn-camera2.apk) bytes): compiled and signed, not run"
