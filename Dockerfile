# The image of the gateway, without a distribution. Build it from a clone:
#
#     docker build -t dicom-qr-gateway:local .
#
# `make image` also sets the labels of version, revision and date. Another BUILDER must have
# Go, git, make, a shell and CA certificates.
ARG BUILDER=golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d

FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
WORKDIR /src
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG COMMIT
ARG DATE
# git describe without --dirty: most files of the clone are not in the build context.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    export GOMODCACHE=/go/pkg/mod GOCACHE=/root/.cache/go-build GOOS=$TARGETOS GOARCH=$TARGETARCH \
        VERSION="${VERSION:-$(git describe --tags --always 2>/dev/null || echo dev)}" \
    && make build licences BINARY=/out/dicom-qr-gateway \
    && mkdir -p /out/licenses /out/etc/ssl/certs \
    && mv /out/THIRD_PARTY_LICENSES.txt /out/licenses/ \
    && cp LICENSE /out/licenses/ \
    && cp -L /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
    && echo 'appuser:x:10001:10001::/:/sbin/nologin' >/out/etc/passwd \
    && echo 'appuser:x:10001:' >/out/etc/group \
    && mkdir /state

FROM scratch
LABEL org.opencontainers.image.title="dicom-qr-gateway" \
    org.opencontainers.image.description="HTTP and JSON in front of a PACS: finds a patient's studies (C-FIND) and moves them (C-MOVE)" \
    org.opencontainers.image.licenses="MIT"
COPY --from=build /out/ /
# A volume for JOBS_DIR belongs to the user of the gateway if it is mounted here.
COPY --from=build --chown=10001:10001 /state /var/lib/dicom-qr-gateway
USER 10001:10001
EXPOSE 6000
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s CMD ["/dicom-qr-gateway", "healthcheck"]
ENTRYPOINT ["/dicom-qr-gateway"]
