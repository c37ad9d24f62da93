#!/bin/sh
# Fetches the browser code of /docs and /redoc: exact versions of npm packages,
# checked against the registry's digests as they were when the versions were chosen.
# It keeps only the files that a page loads, and their licences. Large files are
# stored compressed, as they are served. SHA256SUMS lists the digests of the content.
#
# To update a package: change the version and the digest (npm view NAME@VERSION
# dist.integrity), run `make vendor`, check both pages, commit. With a directory as
# argument, the script writes the files there.
set -eu

here=$(cd "${1:-$(dirname "$0")}" && pwd)
mkdir -p "$here/docs" "$here/redoc"
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

# Source maps are not kept, so the comments that refer to them are removed.
keep() { # source destination
    sed -e '/^\/\/# sourceMappingURL=/d' -e 's|/\*# sourceMappingURL=[a-z.-]*\*/$||' "$1" >"$work/kept"
    (cd "$here" && printf '%s  %s\n' "$(openssl dgst -sha256 -r "$work/kept" | cut -d' ' -f1)" "$2") >>"$here/SHA256SUMS"
    case $2 in
    *.txt) cp "$work/kept" "$here/$2" ;;
    *) gzip -9n <"$work/kept" >"$here/$2.gz" ;;
    esac
}

: >"$here/SHA256SUMS"

fetch swagger-ui-dist 5.35.0 'U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ=='
keep "$work/swagger-ui-dist/swagger-ui-bundle.js" docs/swagger-ui-bundle.js
keep "$work/swagger-ui-dist/swagger-ui.css" docs/swagger-ui.css
keep "$work/swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt" docs/swagger-ui-bundle.js.LICENSE.txt
keep "$work/swagger-ui-dist/LICENSE" docs/LICENSE.txt
keep "$work/swagger-ui-dist/NOTICE" docs/NOTICE.txt

# Redoc loads a logo from another host. Without the URL it shows the text only.
fetch redoc 2.5.4 'M6jWhG1qoBnH6TFmzJnstyCZ87HmOY/UzDm78mHiYihEdlV/YcS9ogOo1NlElnJMeLsyxHFe2yFc4sNjHTrABQ=='
sed -i 's|https://cdn\.redoc\.ly/redoc/logo-mini\.svg|data:,|' "$work/redoc/bundles/redoc.standalone.js"
keep "$work/redoc/bundles/redoc.standalone.js" redoc/redoc.standalone.js
keep "$work/redoc/bundles/redoc.standalone.js.LICENSE.txt" redoc/redoc.standalone.js.LICENSE.txt
keep "$work/redoc/LICENSE" redoc/LICENSE.txt
