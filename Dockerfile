# Images of Countersign: gateway, inference, audit, cli, tests. A target each: `docker build --target gateway .`
# Plain Dockerfile, nothing of BuildKit's own: docker, podman and buildah build it alike (these two
# with `--format docker`, for HEALTHCHECK).
#
# A site pins both bases by digest (image@sha256:…) or takes them from its own mirror.
ARG BUILD_BASE=docker.io/library/node:24-trixie-slim
ARG RUNTIME_BASE=gcr.io/distroless/cc-debian13:nonroot

FROM ${BUILD_BASE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The runtime's libraries for other systems come in its package.
RUN npm ci --omit=dev --loglevel=error \
 && find node_modules/onnxruntime-node/bin/napi-v6 -mindepth 1 -maxdepth 1 ! -name linux -exec rm -rf {} + \
 && find node_modules/onnxruntime-node/bin/napi-v6/linux -mindepth 1 -maxdepth 1 ! -name "$(node -p process.arch)" -exec rm -rf {} + \
 && npm sbom --package-lock-only --sbom-format cyclonedx --omit dev > /app/sbom.cdx.json

# Of what does not look at pictures.
FROM dependencies AS dependencies-without-pictures
RUN rm -rf node_modules/onnxruntime-node node_modules/onnxruntime-common node_modules/sharp node_modules/@img

FROM ${BUILD_BASE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY libs libs
COPY apps apps
COPY tools tools
COPY bench bench
COPY examples examples
COPY test test
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json --sourceMap false \
 && find dist -name '*.map' -delete

FROM build AS programs
RUN rm -rf dist/libs/testing dist/libs/client && mkdir /volume

# What all have: one Node, the one that built; no shell, no package manager. 10001 is the group of `countersign init`.
FROM ${RUNTIME_BASE} AS base
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="Countersign" \
      org.opencontainers.image.description="Self-hosted face step-up authentication" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /app
COPY --from=dependencies /usr/local/bin/node /usr/local/bin/node
COPY --from=dependencies /app/sbom.cdx.json ./
COPY package.json LICENSE ./
ENV NODE_ENV=production \
    ORT_DISABLE_TELEMETRY=1
USER 10001:10001
STOPSIGNAL SIGTERM

FROM base AS gateway
COPY --from=dependencies-without-pictures /app/node_modules node_modules
COPY models/manifest.json models/manifest.json
COPY --from=programs /app/dist/libs dist/libs
COPY --from=programs /app/dist/apps/gateway dist/apps/gateway
ENV GATEWAY_HOST=0.0.0.0 \
    GATEWAY_PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/node", "-e", "fetch('http://127.0.0.1:'+process.env.GATEWAY_PORT+'/health/ready').then((r)=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["/usr/local/bin/node", "dist/apps/gateway/src/main.js"]

FROM base AS inference
COPY --from=dependencies /app/node_modules node_modules
COPY models models
COPY --from=programs /app/dist/libs dist/libs
COPY --from=programs /app/dist/apps/inference dist/apps/inference
# How a worker is launched: tools/stack/src/worker-launch.ts says why; a test holds the two equal.
ENV HEALTH_HOST=0.0.0.0 \
    HEALTH_PORT=8081 \
    MALLOC_ARENA_MAX=2
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/node", "-e", "fetch('http://127.0.0.1:'+process.env.HEALTH_PORT+'/health/ready').then((r)=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["/usr/local/bin/node", "--single-threaded-gc", "--max-semi-space-size=1", "dist/apps/inference/src/main.js"]

FROM base AS audit
COPY --from=dependencies-without-pictures /app/node_modules node_modules
COPY --from=programs /app/dist/libs dist/libs
COPY --from=programs /app/dist/apps/audit dist/apps/audit
# The published checkpoints: a volume that is mounted here takes its owner from it.
COPY --from=programs --chown=10001:10001 /volume /var/lib/countersign
ENV AUDIT_HOST=0.0.0.0 \
    AUDIT_PORT=8090 \
    HEALTH_HOST=0.0.0.0 \
    HEALTH_PORT=8081
EXPOSE 8090 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/node", "-e", "fetch('http://127.0.0.1:'+process.env.HEALTH_PORT+'/health/ready').then((r)=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["/usr/local/bin/node", "dist/apps/audit/src/main.js"]

# The operator's command line. It has the models, since doctor compares them with their manifest.
FROM base AS cli
COPY --from=dependencies-without-pictures /app/node_modules node_modules
COPY models models
COPY --from=programs /app/dist/libs dist/libs
COPY --from=programs /app/dist/apps/cli dist/apps/cli
ENTRYPOINT ["/usr/local/bin/node", "dist/apps/cli/src/main.js"]

# Films recorded people against a running installation, over the network only.
FROM base AS tests
COPY --from=dependencies /app/node_modules node_modules
COPY test/media test/media
COPY --from=build /app/dist/libs dist/libs
COPY --from=build /app/dist/tools/stack dist/tools/stack
COPY --from=build /app/dist/tools/film.js dist/tools/film.js
COPY --from=build /app/dist/test/compose/main.js /app/dist/test/compose/mails.js dist/test/compose/
ENTRYPOINT ["/usr/local/bin/node", "dist/test/compose/main.js"]
