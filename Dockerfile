# The gateway alone, in an image of scratch. From a clone:
#
#     docker build -t dicom-qr-gateway:local .
#
# `make image` does the same and says in the labels too what it is. Another BUILDER
# must have Go, git, make, a shell and CA certificates.
ARG BUILDER=golang:1.26.8-bookworm

FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
WORKDIR /src
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG COMMIT
ARG DATE
# Most of a clone stays out of the context, so git describe would call it dirty.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    export GOMODCACHE=/go/pkg/mod GOCACHE=/root/.cache/go-build GOOS=$TARGETOS GOARCH=$TARGETARCH \
        VERSION="${VERSION:-$(git describe --tags --always 2>/dev/null || echo dev)}" \
    && make build licences BINARY=/out/dicom-qr-gateway \
    && mkdir -p /out/licenses /out/etc/ssl/certs \
    && mv /out/THIRD_PARTY_LICENSES.txt /out/licenses/ \
    && cp LICENSE /out/licenses/ \
    && cp -L /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
    && echo 'appuser:x:10001:10001::/:/sbin/nologin' >/out/etc/passwd \
    && echo 'appuser:x:10001:' >/out/etc/group

FROM scratch
LABEL org.opencontainers.image.title="dicom-qr-gateway" \
    org.opencontainers.image.description="Finds a patient's studies on a PACS and has them moved, by JSON over HTTP" \
    org.opencontainers.image.licenses="MIT"
COPY --from=build /out/ /
USER 10001:10001
EXPOSE 6000
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s CMD ["/dicom-qr-gateway", "healthcheck"]
ENTRYPOINT ["/dicom-qr-gateway"]
