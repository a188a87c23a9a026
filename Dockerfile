# The image holds one static binary and the roots of trust it needs to fetch
# other issuers' keys over https. There is no shell and no package in it.
FROM golang:1.26 AS build
WORKDIR /src

# Modules change seldom: their layer stays while sources change.
COPY go.mod go.sum ./
RUN go mod download

COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X github.com/sluicehq/sluice/server/program.version=${VERSION}" -o /out/sluice ./cmd/sluice

# A new volume takes its owner from the folder it is mounted over.
RUN mkdir -p /out/keys /out/data

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="Sluice" \
      org.opencontainers.image.description="Publish and subscribe over Server-Sent Events, with replay, grants and durable publishes" \
      org.opencontainers.image.source="https://github.com/sluicehq/sluice" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"

COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /out/keys /keys
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/sluice /sluice
COPY LICENSE NOTICE /licenses/

# A number, since there is no /etc/passwd: Kubernetes' runAsNonRoot reads it.
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --retries=3 CMD ["/sluice", "health"]
ENTRYPOINT ["/sluice"]
