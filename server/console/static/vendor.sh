#!/bin/sh
# Fetches the browser code of the console: exact versions of npm packages, checked against the registry's digests as they
# were when the versions were chosen. SHA256SUMS lists the digests of the files.
#
# To update a package: change the version and the digest (npm view NAME@VERSION dist.integrity), run `make vendor browser`,
# commit. With a directory as argument, the script writes the files there.
set -eu

here=$(cd "${1:-$(dirname "$0")}" && pwd)
mkdir -p "$here/assets"
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

# Source maps are not kept. Browsers resolve no package names, so imports name files.
keep() { # source destination
    sed -e '/^\/\/# sourceMappingURL=/d' -e 's|from"preact"|from"./preact.js"|g' "$1" >"$here/assets/$2"
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
