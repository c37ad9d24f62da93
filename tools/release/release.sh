#!/usr/bin/env bash
# Builds the contents of a release in dist/: for each platform an archive and an SBOM, and the checksums of all; then checks
# them. The Makefile sets VERSION, COMMIT and DATE. The same commit gives the same bytes, with the same version of Go.
set -euo pipefail
cd "$(dirname "$0")/../.."
export VERSION COMMIT DATE LC_ALL=C TZ=UTC
go=${GO:-go}

platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64)
texts=(README.md docs/*.md CHANGELOG.md SECURITY.md LICENSE dicomnet/CONFORMANCE.md)
host=$("$go" env GOHOSTOS)_$("$go" env GOHOSTARCH)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf dist
mkdir dist

fail() { printf 'release.sh: %s\n' "$*" >&2; exit 1; }

[[ $(jq -r .version client/typescript/package.json) == "$(awk '$1 == "version:" { print $2; exit }' openapi.yaml)" ]] ||
    fail 'client/typescript and openapi.yaml differ in version'
[[ -n $COMMIT && -n $DATE ]] || fail 'COMMIT and DATE are empty: a release needs a git commit'

# The SBOM of the Go modules lacks the browser code. vendor.sh has its names, versions and digests.
browser_code() {
    awk '$1 == "fetch" && NF == 4 { gsub("\047", ""); print $2, $3, $4 }' server/docs/static/vendor.sh |
        while read -r name version digest; do
            case $name in
            swagger-ui-dist) licence=Apache-2.0 ;;
            redoc) licence=MIT ;;
            *) fail "no licence known for $name" ;;
            esac
            digest=$(base64 -d <<<"$digest" | od -An -v -tx1 | tr -d ' \n')
            jq -n --arg name "$name" --arg version "$version" --arg digest "$digest" --arg licence "$licence" \
                '{"bom-ref": "pkg:npm/\($name)@\($version)", type: "library", $name, $version, scope: "required",
                  hashes: [{alg: "SHA-512", content: $digest}], licenses: [{license: {id: $licence}}],
                  purl: "pkg:npm/\($name)@\($version)"}'
        done
}
browser_code | jq -s . >"$work/browser.json"
(($(jq length "$work/browser.json") == 2)) || fail 'vendor.sh must name two packages'

sbom() { # BINARY: writes to standard output
    bin/cyclonedx-gomod bin -json -std -noserial -notimestamp -version "$VERSION" "$1" |
        jq --slurpfile browser "$work/browser.json" \
            '.metadata.component.licenses = [{license: {id: "MIT"}}]
             | .components += $browser[0]
             | (.dependencies[] | select(.ref == $main) | .dependsOn) += [$browser[0][]["bom-ref"]]' \
            --arg main "pkg:golang/dicom-qr-gateway@$VERSION?type=module"
}

# complete checks that the SBOM and the licences cover every module of the binary.
complete() { # BINARY SBOM LICENCES
    local module missing
    "$go" version -m "$1" | awk '$1 == "dep" { print $2 "@" $3 }' | sort >"$work/modules"
    (($(wc -l <"$work/modules") >= 20)) || fail "$1 lists fewer than 20 modules"
    jq -r '.components[] | "\(.name)@\(.version)"' "$2" | sort >"$work/components"
    missing=$(comm -23 "$work/modules" "$work/components")
    [[ -z $missing ]] || fail "the SBOM lacks $missing"
    while read -r module; do
        grep -qF "$module: " "$3" || fail "the licence of $module is missing"
    done <"$work/modules"
}

for platform in "${platforms[@]}"; do
    export GOOS=${platform%/*} GOARCH=${platform#*/}
    name=dicom-qr-gateway_${VERSION#v}_${GOOS}_$GOARCH
    folder=$work/$name
    binary=$folder/dicom-qr-gateway
    if [[ $GOOS == windows ]]; then binary+=.exe; fi
    make -s build licences GO="$go" BINARY="$binary"
    cp --parents "${texts[@]}" "$folder"
    "$go" version -m "$binary" >"$work/build"
    for setting in "GOOS=$GOOS" "GOARCH=$GOARCH" CGO_ENABLED=0; do
        grep -q "build[[:space:]]$setting\$" "$work/build" || fail "$name is not built with $setting"
    done
    find "$folder" -exec touch -h -d "$DATE" {} +
    if [[ $GOOS == windows ]]; then
        (cd "$work" && find "$name" -type f | sort | zip -q -X -D "$OLDPWD/dist/$name.zip" -@)
        unzip -q -d "$work/unpacked" "dist/$name.zip"
    else
        tar -C "$work" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=go-w -cf - "$name" |
            gzip -9n >"dist/$name.tar.gz"
        mkdir -p "$work/unpacked"
        tar -C "$work/unpacked" -xzf "dist/$name.tar.gz"
    fi
    diff -r "$folder" "$work/unpacked/$name"
    sbom "$binary" >"dist/$name.cdx.json"
    complete "$binary" "dist/$name.cdx.json" "$folder/THIRD_PARTY_LICENSES.txt"
    printf '%s: %d bytes\n' "$name" "$(stat -c %s "$binary")"
done

(cd dist && sha256sum -- *.tar.gz *.zip *.json >SHA256SUMS && sha256sum --quiet --check SHA256SUMS)
(($(wc -l <dist/SHA256SUMS) == 2 * ${#platforms[@]})) || fail 'files are missing in dist'

# The binary of this platform reports its version.
reported=$("$work/unpacked/dicom-qr-gateway_${VERSION#v}_$host/dicom-qr-gateway" version)
[[ $reported == "dicom-qr-gateway $VERSION $COMMIT $DATE $("$go" env GOVERSION)" ]] || fail "the version of the binary is $reported"
echo "$reported"
