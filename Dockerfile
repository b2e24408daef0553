# The image of every process of Amends: one static binary, and what it needs from a system. No shell, no package manager.
#
#	docker build --build-arg VERSION=v1.2.3 --tag amends:v1.2.3 .
#
# The same sources and the same VERSION give the same bytes; SOURCE_DATE_EPOCH=0 as another build argument does so for the
# image's own dates.
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build

# The workspace is for the other modules, which the image has nothing of.
ENV GOWORK=off CGO_ENABLED=0
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .

# What the processes write, besides to PostgreSQL. A volume takes over whose it is.
RUN mkdir -p /out/var/lib/amends/keys

ARG TARGETOS
ARG TARGETARCH
ARG VERSION
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
	GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -tags timetzdata \
	-ldflags "-s -w -buildid= -X main.release=$VERSION" -o /out/amends ./cmd/amends

FROM scratch

ARG VERSION
LABEL org.opencontainers.image.title="Amends" \
	org.opencontainers.image.description="Durable order sagas on Temporal: API, worker and reference step services" \
	org.opencontainers.image.source="https://github.com/amends-dev/amends" \
	org.opencontainers.image.licenses="Apache-2.0" \
	org.opencontainers.image.version="$VERSION"

COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /out/var/lib/amends /var/lib/amends
COPY --from=build /out/amends /usr/bin/amends

# A number, since there is no /etc/passwd, and since Kubernetes believes only numbers not to be root.
USER 65532:65532
WORKDIR /var/lib/amends
ENV PATH=/usr/bin AMENDS_LOG_JSON=true AMENDS_OPS_ADDR=:9090 AMENDS_SERVICES_DATA=/var/lib/amends

ENTRYPOINT ["amends"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["amends", "ready"]
