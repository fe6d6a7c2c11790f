# A single static binary in an empty image: no shell, no libraries, not run as root.

# To pin the exact image: --build-arg RUST_IMAGE=rust:1.95-alpine@sha256:…
ARG RUST_IMAGE=rust:1.95-alpine
FROM ${RUST_IMAGE} AS build
RUN apk add --no-cache musl-dev gcc make
WORKDIR /src
# Build the dependencies first, so that a change to our own code does not rebuild them.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src docs tests/it benches && echo 'fn main() {}' | tee src/main.rs > tests/abilities.rs \
    && touch src/lib.rs README.md tests/it/main.rs benches/chart.rs benches/limits.rs benches/load.rs benches/matching.rs \
    && cargo build --release --locked --bin doorbell && rm -r src
COPY src src
COPY docs docs
COPY rules /off/rules
# The licences of all libraries, and the first rule: it lets anyone in, so it is switched off until somebody wants it.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin doorbell \
    && mkdir -p /empty/data /empty/output /licenses && chmod 700 /empty/data \
    && for library in "$CARGO_HOME"/registry/src/*/*/; do \
         for text in "$library"LICEN[CS]E* "$library"COPYING* "$library"NOTICE*; do \
           if [ -f "$text" ]; then mkdir -p "/licenses/$(basename "$library")" && cp "$text" "/licenses/$(basename "$library")/"; fi; \
         done; \
       done \
    && sed -i 's/^    when:/    enabled: false\n    when:/' /off/rules/*.yaml

FROM scratch
COPY --from=build /src/target/release/doorbell /doorbell
COPY --from=build --chown=65532:65532 /empty/ /
COPY --from=build --chown=65532:65532 /off/rules /rules
COPY --from=build /licenses /licenses
USER 65532:65532
ENV DOORBELL_RULES=/rules DOORBELL_DATA=/data DOORBELL_OUTPUT=/output DOORBELL_LISTEN=0.0.0.0:8080 DOORBELL_CONSOLE=off
VOLUME ["/rules", "/data", "/output"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/doorbell", "health"]
ENTRYPOINT ["/doorbell"]
CMD ["serve"]
