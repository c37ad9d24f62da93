#!/bin/sh
# Fails where a workflow uses an action by anything but a full commit SHA with its
# version beside it, or another Go than the one that the Dockerfile builds with.
set -eu
cd "$(dirname "$0")/../.."

if grep -nE '^ *(- )?uses: ' .github/workflows/*.yml |
    grep -vE 'uses: (\./|[[:alnum:]./_-]+@[0-9a-f]{40} # v[0-9])'; then
    echo 'pinned.sh: not pinned by SHA with the version as a comment' >&2
    exit 1
fi

builder=$(sed -n 's/^ARG BUILDER=//p' Dockerfile)
go=${builder#golang:}
if grep -nE 'image: golang:|go-version: ' .github/workflows/*.yml |
    grep -vE "image: golang:$go\$|go-version: '${go%%-*}'\$"; then
    echo "pinned.sh: the Dockerfile builds with $builder" >&2
    exit 1
fi
