#!/bin/sh
# Fails if a workflow refers to an action by anything but a full commit SHA with the version as a comment, or uses another
# version of Go than the Dockerfile.
set -eu
cd "$(dirname "$0")/../.."

if grep -nE '^ *(- )?uses: ' .github/workflows/*.yml |
    grep -vE 'uses: (\./|[[:alnum:]./_-]+@[0-9a-f]{40} # v[0-9])'; then
    echo 'pinned.sh: pin these actions by commit SHA, with the version as a comment' >&2
    exit 1
fi

builder=$(sed -n 's/^ARG BUILDER=//p' Dockerfile)
go=${builder#golang:}
if grep -nE 'image: golang:|go-version: ' .github/workflows/*.yml |
    grep -vE "image: golang:$go\$|go-version: '${go%%-*}'\$"; then
    echo "pinned.sh: these versions of Go differ from $builder in the Dockerfile" >&2
    exit 1
fi
