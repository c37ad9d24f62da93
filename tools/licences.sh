#!/bin/sh
# Prints the licences and notices of all code in the binary for GOOS and GOARCH: the Go standard library, each module that is
# compiled in, and the browser code of /, /docs and /redoc. Fails if a module has no licence file.
set -eu
cd "${0%/*}/.."
go=${GO:-go}

# texts FOLDER prints the names of the licence files in the folder.
texts() {
    for file in "$1"/LICEN[CS]E* "$1"/License* "$1"/COPYING* "$1"/COPYRIGHT* "$1"/NOTICE* "$1"/PATENTS*; do
        case $file in
        *.go) ;; # source code with such a name
        *) [ ! -f "$file" ] || printf '%s\n' "$file" ;;
        esac
    done
}

section() { # title file
    printf '\n%s\n%s\n%s\n\n' '================================================================================' "$1" \
        '================================================================================'
    cat "$2"
}

# modules prints "module@version path" for each licence file in or above the folder of a package that is compiled in.
modules() {
    packages=$("$go" list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}} {{.Dir}} {{$.Dir}}{{end}}{{end}}' .)
    printf '%s\n' "$packages" |
        while read -r module root dir; do
            while [ "$dir" != "$root" ]; do
                texts "$dir" | while read -r file; do printf '%s %s\n' "$module" "$file"; done
                dir=${dir%/*}
            done
            found=$(texts "$root")
            [ -n "$found" ] || { echo "licences.sh: $module has no licence file" >&2; exit 1; }
            printf '%s\n' "$found" | while read -r file; do printf '%s %s\n' "$module" "$file"; done
        done
}

echo 'dicom-qr-gateway is licensed under the MIT licence; see LICENSE. It contains third-party code under the following licences.'
section "Go $("$go" env GOVERSION), standard library" "$("$go" env GOROOT)/LICENSE"
list=$(modules)
printf '%s\n' "$list" | LC_ALL=C sort -u | while read -r module file; do
    section "$module: ${file##*@*/}" "$file"
done
for page in docs redoc; do
    texts "server/docs/static/$page" | while read -r file; do section "/$page, browser code: ${file##*/}" "$file"; done
    for file in "server/docs/static/$page"/*.js.LICENSE.txt; do
        section "/$page, browser code: ${file##*/}" "$file"
    done
done
for file in server/console/static/assets/*.LICENSE.txt server/console/static/assets/client/*.LICENSE.txt; do
    section "/, browser code: ${file##*/}" "$file"
done
