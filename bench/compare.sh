#!/usr/bin/env bash
# gsigw beside WSS4J and xmlsec1, in one run (what is measured and how: bench/main.go):
#
#	bash bench/compare.sh [-long] [-shape elements|text|base64] [-digest sha1|sha256]
#
# It needs Go, a JDK, xmlsec1, the jars of .ci/run's packages and, for the column "openssl", gcc and libssl-dev; what is
# missing is left out of the table with a word.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v xmlsec1 >/dev/null || { echo "xmlsec1 is missing: apt-get install xmlsec1" >&2; exit 1; }

arguments=("$@")
go build -o "$work/bench" ./bench
if go build -tags openssl -o "$work/bench-openssl" ./bench 2>"$work/openssl.log"; then
	arguments+=(-openssl "$work/bench-openssl")
else
	echo "no signer over libcrypto (apt-get install gcc libssl-dev): $(grep -m 1 -E 'error|C compiler' "$work/openssl.log" || tail -n 1 "$work/openssl.log")"
fi

class_path=$work
for jar in wss4j xmlsec commons-logging commons-codec slf4j-api slf4j-nop canl bcprov bcpkix bcutil commons-io woodstox-core stax2-api; do
	class_path+=:/usr/share/java/$jar.jar
done
if javac -nowarn -proc:none -encoding UTF-8 -d "$work" -cp "$class_path" bench/Wss4jWorker.java 2>"$work/javac.log"; then
	arguments+=(-classpath "$class_path")
else
	echo "no WSS4J (apt-get install openjdk-17-jdk-headless libwss4j-java libcanl-java): $(head -n 1 "$work/javac.log")"
fi

"$work/bench" "${arguments[@]}"
