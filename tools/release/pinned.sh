#!/bin/sh
# Fails if a workflow refers to an action by anything but a full commit SHA with the version as a comment, if the builder image of a
# Dockerfile is not pinned by its digest, or if the workflows use another version of Go than the Dockerfile.
set -eu
cd "$(dirname "$0")/../.."

if grep -nE '^ *(- )?uses: ' .github/workflows/*.yml |
    grep -vE 'uses: (\./|[[:alnum:]./_-]+@[0-9a-f]{40} # v[0-9])'; then
    echo 'pinned.sh: pin these actions by commit SHA, with the version as a comment' >&2
    exit 1
fi

builder=$(sed -n 's/^ARG BUILDER=//p' Dockerfile)
go=${builder#golang:}
case $builder in
*@sha256:*) ;;
*)
    echo "pinned.sh: pin $builder in the Dockerfile by its digest" >&2
    exit 1
    ;;
esac
if git grep -n '^ARG BUILDER=' -- '*Dockerfile' | grep -v "=$builder\$"; then
    echo "pinned.sh: these builder images differ from $builder in the Dockerfile" >&2
    exit 1
fi
if grep -nE 'image: golang:|go-version: ' .github/workflows/*.yml |
    grep -vE "image: golang:$go\$|go-version: '${go%%-*}'\$"; then
    echo "pinned.sh: these versions of Go differ from $builder in the Dockerfile" >&2
    exit 1
fi
