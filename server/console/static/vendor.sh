#!/bin/sh
# Makes the browser code of the console that has its source elsewhere: exact versions of npm packages, checked against the
# registry's digests as they were when the versions were chosen, and the TypeScript client of this repository, compiled. SHA256SUMS
# lists the digests of the files.
#
# To update a package: change the version and the digest (npm view NAME@VERSION dist.integrity), run `make vendor browser`,
# commit. After a change of client/typescript/src: run `make vendor browser`, commit. With a directory as argument, the script
# writes the files there.
set -eu

here=$(cd "${1:-$(dirname "$0")}" && pwd)
root=$(cd "$(dirname "$0")/../../.." && pwd)
rm -rf "$here/assets/client"
mkdir -p "$here/assets/client"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # name version sha512-base64
    (cd "$work" && npm pack --silent "$1@$2" >/dev/null)
    got=$(openssl dgst -sha512 -binary "$work/$1-$2.tgz" | openssl base64 -A)
    if [ "$got" != "$3" ]; then
        echo "vendor.sh: $1@$2 has digest $got, expected $3" >&2
        exit 1
    fi
    mkdir "$work/$1"
    tar -xzf "$work/$1-$2.tgz" -C "$work/$1" --strip-components=1
}

# Source maps, comments and indentation are not kept: the page is to be small. Browsers resolve no package names, so imports name files.
keep() { # source destination
    case "$2" in
    *.js) sed -e 's/^ *//' -e '/^\/\*\*.*\*\/$/d' -e '/^\/\*\*/,/\*\/$/d' -e '/^\/\/[# ]/d' -e 's|from"preact"|from"./preact.js"|g' \
        -e "s/ from '\(openapi-fetch\|eventsource-parser\)';/ from '.\/\1.js';/" "$1" >"$here/assets/$2" ;;
    *) cp "$1" "$here/assets/$2" ;;
    esac
    (cd "$here" && printf '%s  %s\n' "$(openssl dgst -sha256 -r "assets/$2" | cut -d' ' -f1)" "assets/$2") >>"$here/SHA256SUMS"
}

: >"$here/SHA256SUMS"

fetch preact 10.29.8 'ej2aVZ+vZ8WO7tvlQWRM9N63A0KzF9q4mWJfDUHgYaIofWY9hu74QdnQrjoPMmZi2/nZ5gN0bJCQF49xQqx09Q=='
keep "$work/preact/dist/preact.module.js" preact.js
keep "$work/preact/hooks/dist/hooks.module.js" preact-hooks.js
keep "$work/preact/LICENSE" preact.LICENSE.txt

fetch htm 3.1.1 '983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ=='
keep "$work/htm/dist/htm.module.js" htm.js
keep "$work/htm/LICENSE" htm.LICENSE.txt

# The client's package.json names the versions of the packages that the client imports.
of_client() { # name version
    grep -qF "\"$1\": \"$2\"" "$root/client/typescript/package.json" || {
        echo "vendor.sh: client/typescript does not use $1@$2" >&2
        exit 1
    }
}

fetch openapi-fetch 0.17.0 'PsbZR1wAPcG91eEthKhN+Zn92FMHxv+/faECIwjXdxfTODGSGegYv0sc1Olz+HYPvKOuoXfp+0pA2XVt2cI0Ig=='
of_client openapi-fetch 0.17.0
keep "$work/openapi-fetch/dist/index.mjs" client/openapi-fetch.js
keep "$work/openapi-fetch/LICENSE" client/openapi-fetch.LICENSE.txt

fetch eventsource-parser 3.1.1 'EKN1vKAMcZ8MlYMpaNuxN6R9yakzH6uajHcHVTqWJzvu5pWw9DyhbP35HH8MVBQ+dZjAfDxk+A8NiR9KWaXiyQ=='
of_client eventsource-parser 3.1.1
keep "$work/eventsource-parser/dist/index.js" client/eventsource-parser.js
keep "$work/eventsource-parser/LICENSE" client/eventsource-parser.LICENSE.txt

[ -x "$root/client/typescript/node_modules/.bin/tsc" ] || npm --prefix "$root/client/typescript" ci --silent --ignore-scripts --no-audit --no-fund
"$root/client/typescript/node_modules/.bin/tsc" -p "$root/client/typescript" --outDir "$work/client" --declaration false --removeComments
for file in "$work"/client/*.js; do
    keep "$file" "client/${file##*/}"
done
