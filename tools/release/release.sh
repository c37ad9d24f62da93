#!/usr/bin/env bash
# Builds the contents of a release in dist/: for each platform an archive and an SBOM, the TypeScript client as a .tgz, the
# Python client as a wheel, and the checksums of all; then checks them. The Makefile sets VERSION, COMMIT, DATE and PLATFORMS, of which
# this machine's must be one. The same commit gives the same bytes, with the same versions of Go, node, npm, setuptools and wheel.
set -euo pipefail
cd "$(dirname "$0")/../.."
export VERSION COMMIT DATE LC_ALL=C TZ=UTC
go=${GO:-go}
python=${PYTHON:-python3}

read -ra platforms <<<"$PLATFORMS"
texts=(README.md docs/*.md CHANGELOG.md SECURITY.md LICENSE dicomnet/CONFORMANCE.md openapi.yaml)
unit=samples/systemd/dicom-qr-gateway.service
host=$("$go" env GOHOSTOS)_$("$go" env GOHOSTARCH)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf dist
mkdir dist

fail() { printf 'release.sh: %s\n' "$*" >&2; exit 1; }

contract=$(awk '$1 == "version:" { print $2; exit }' openapi.yaml)
[[ $(jq -r .version client/typescript/package.json) == "$contract" ]] || fail 'client/typescript and openapi.yaml differ in version'
grep -qxF "version = \"$contract\"" client/python/pyproject.toml || fail 'client/python and openapi.yaml differ in version'
[[ -n $COMMIT && -n $DATE ]] || fail 'COMMIT and DATE are empty: a release needs a git commit'

# The SBOM of the Go modules lacks the browser code. vendor.sh has its names, versions and digests.
browser_code() {
    awk '$1 == "fetch" && NF == 4 { gsub("\047", ""); print $2, $3, $4 }' server/docs/static/vendor.sh server/console/static/vendor.sh |
        while read -r name version digest; do
            case $name in
            swagger-ui-dist) licence=Apache-2.0 ;;
            redoc | preact | openapi-fetch | eventsource-parser) licence=MIT ;;
            htm) licence=Apache-2.0 ;;
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
(($(jq length "$work/browser.json") == 6)) || fail 'the scripts vendor.sh must name six packages'

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
    if [[ $GOOS == linux ]]; then cp --parents "$unit" "$folder"; fi
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
    if [[ $GOOS == linux ]]; then cmp "$unit" "$work/unpacked/$name/$unit"; fi
    sbom "$binary" >"dist/$name.cdx.json"
    complete "$binary" "dist/$name.cdx.json" "$folder/THIRD_PARTY_LICENSES.txt"
    printf '%s: %d bytes\n' "$name" "$(stat -c %s "$binary")"
done

# Copies of what git has are built, so that no file of an earlier build gets into a package.
sources=$work/sources
mkdir "$sources"
git ls-files -z -- client/typescript client/python gen/typescript LICENSE | xargs -0 cp --parents -t "$sources"

tgz=dicom-qr-gateway-client-$contract.tgz
npm --prefix "$sources/client/typescript" ci --ignore-scripts --no-audit --no-fund --loglevel=error
(cd "$sources/client/typescript" && npm pack --silent --pack-destination "$OLDPWD/dist" >/dev/null)

# wheel takes the times of the files in the archive from SOURCE_DATE_EPOCH.
wheel=dicom_qr_gateway_client-$contract-py3-none-any.whl
cp LICENSE "$sources/client/python"
SOURCE_DATE_EPOCH=$(date -d "$DATE" +%s) "$python" -m pip --disable-pip-version-check wheel --quiet --no-deps --no-index \
    --no-build-isolation --wheel-dir dist "$sources/client/python"

(cd dist && sha256sum -- *.tar.gz *.zip *.json *.tgz *.whl >SHA256SUMS && sha256sum --quiet --check SHA256SUMS)
(($(wc -l <dist/SHA256SUMS) == 2 * ${#platforms[@]} + 2)) || fail 'files are missing in dist'

# The archive of this platform has the contract.
archive=$work/unpacked/dicom-qr-gateway_${VERSION#v}_$host
cmp openapi.yaml "$archive/openapi.yaml"

# A project can install and load the TypeScript client, with its types and licence.
mkdir "$work/project"
echo '{"private": true}' >"$work/project/package.json"
npm --prefix "$work/project" install --ignore-scripts --no-audit --no-fund --loglevel=error "$PWD/dist/$tgz"
for file in dist/index.d.ts dist/contract.d.ts LICENSE; do
    [[ -s $work/project/node_modules/dicom-qr-gateway-client/$file ]] || fail "$tgz lacks $file"
done
(cd "$work/project" && node --input-type=module -e "
    import { createGateway } from 'dicom-qr-gateway-client';
    createGateway({ baseUrl: 'http://localhost:8888', retry: { attempts: 3, maxWait: 60 } });") || fail "$tgz cannot be loaded"

# So can an environment of Python, with the marker for type checkers and the licence.
"$python" -m pip --disable-pip-version-check install --root-user-action=ignore --quiet --no-deps --no-index --target "$work/site" "dist/$wheel"
[[ -f $work/site/dicom_qr_gateway/py.typed ]] || fail "$wheel lacks py.typed"
[[ -n $(find "$work/site/dicom_qr_gateway_client-$contract.dist-info" -name LICENSE -size +0) ]] || fail "$wheel lacks the licence"
(cd "$work" && PYTHONPATH=$work/site "$python" -c "
from dicom_qr_gateway import Gateway, Retry
Gateway('http://localhost:8888', retry=Retry(attempts=3, max_wait=60))") || fail "$wheel cannot be imported"
printf '%s\n' "$tgz" "$wheel"

# The binary of this platform reports its version.
reported=$("$archive/dicom-qr-gateway" version)
[[ $reported == "dicom-qr-gateway $VERSION $COMMIT $DATE $("$go" env GOVERSION)" ]] || fail "the version of the binary is $reported"
echo "$reported"
