# Everything is made and tested from here; `make test` is what CI runs (.ci/run).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
HAS_NEXTEST := $(shell command -v cargo-nextest >/dev/null 2>&1 && echo yes)
SEEDS ?= 5000
FUZZ_SECONDS ?= 60
# Stable Rust. Without the address sanitizer: what is fuzzed here has no unsafe code, and the time is better spent on inputs; overflow and debug assertions stay on.
FUZZ := RUSTC_BOOTSTRAP=1 cargo fuzz
FUZZ_OPTIONS := --sanitizer none --target x86_64-unknown-linux-gnu

# Opus comes from libopus, whose build needs cmake and a C compiler: by this feature, so that cargo alone builds us without it.
FEATURES := --features opus

.PHONY: build run test lint differential unit flows e2e config compilers tools soak fuzz fuzz-corpus bench audit prompts schemas clean

build: compilers
	cargo build --release $(FEATURES)

run: compilers ## the demo centre on loopback; prints what to dial
	cargo run --release $(FEATURES) -- demo

## --- tests -------------------------------------------------------------------------------------------------

# Unit, sim and end-to-end tests come last, so that the last line counts them.
test: compilers tools lint config flows differential unit

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(FEATURES) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet $(FEATURES)

config:
	cargo build --quiet $(FEATURES)
	cargo run --quiet $(FEATURES) -- check --config config

flows:
	cargo run --quiet $(FEATURES) -- flow test --config config

differential: ## our SIP parser beside rsip and rsipstack; outside the workspace, since tokio's features would be unified
	cargo test --quiet --locked --manifest-path tests/differential/Cargo.toml --target-dir target/differential

unit:
ifeq ($(HAS_NEXTEST),yes)
	cargo test --workspace --doc --quiet $(FEATURES)
	cargo nextest run --workspace $(FEATURES)
else
	@mkdir -p target; cargo test --workspace $(FEATURES) 2>&1 | tee target/test.log; \
	awk '/^test result:/ { passed += $$4; failed += $$6 } END { printf "tests: %d passed, %d failed\n", passed, failed }' target/test.log
endif

e2e: compilers tools ## only the tests against the binary
ifeq ($(HAS_NEXTEST),yes)
	cargo nextest run -p cordboard $(FEATURES)
else
	cargo test -p cordboard $(FEATURES)
endif

# What the build of libopus calls.
compilers:
	@missing=""; \
	for pair in cmake:cmake cc:gcc c++:g++ make:make; do \
	  type -P "$${pair%%:*}" >/dev/null 2>&1 || missing="$$missing $${pair##*:}"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing" >&2; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >&2; \
	fi

# JsSIP for the browser of the end-to-end tests, fetched and bundled by the lock file beside them.
target/jssip/jssip.js: tests/e2e/jssip/package-lock.json
	@mkdir -p $(@D) && cp tests/e2e/jssip/package*.json $(@D) && npm ci --silent --no-audit --no-fund --ignore-scripts --prefix $(@D)
	@$(@D)/node_modules/.bin/esbuild $(@D)/node_modules/jssip/lib/JsSIP.js --bundle --minify --format=iife --global-name=JsSIP --log-level=warning --outfile=$@

# What the end-to-end tests call and Debian has; apt is not touched when everything is there.
# promtool comes with prometheus, speech detection and prompts need nothing at test time.
tools: target/jssip/jssip.js
	@missing=""; \
	for pair in sipp:sip-tester baresip:baresip linphonec:linphone-cli sipsak:sipsak promtool:prometheus /usr/sbin/kamailio:kamailio /usr/sbin/dnsmasq:dnsmasq-base chromium-headless-shell:chromium-headless-shell espeak-ng:espeak-ng svcrack:sipvicious fail2ban-regex:fail2ban kill:procps taskset:util-linux prlimit:util-linux; do \
	  type -P "$${pair%%:*}" >/dev/null 2>&1 || missing="$$missing $${pair##*:}"; \
	done; \
	ls /usr/lib/*/kamailio/modules/tls.so >/dev/null 2>&1 || missing="$$missing kamailio-tls-modules"; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing" >&2; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >&2; \
	fi

## --- longer work -------------------------------------------------------------------------------------------

soak: ## SEEDS=n seeds of the simulated shift; a failing one is printed and replays alone
	SHIFT_SEEDS=$(SEEDS) ACD_SEEDS=$(SEEDS) cargo test --release -p sim

fuzz: ## every fuzz target for FUZZ_SECONDS; no input may take a second or 512 MB
	@command -v cargo-fuzz >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	cd fuzz && for target in $$($(FUZZ) list); do \
	  mkdir -p "corpus-found/$$target"; \
	  $(FUZZ) run $(FUZZ_OPTIONS) "$$target" "corpus-found/$$target" "corpus/$$target" -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=1 -rss_limit_mb=512; \
	done

# `message` stays as it is: the differential tests have a reason for each of its messages.
fuzz-corpus: ## takes into the corpus what fuzzing has found, and no more than covers it
	cd fuzz && for target in engine endpoint digest sdp descriptions info rtcp flow dialogue prompt; do \
	  mkdir -p "corpus-found/$$target"; rm -rf target/smallest; mkdir -p target/smallest; \
	  $(FUZZ) run $(FUZZ_OPTIONS) "$$target" target/smallest "corpus/$$target" "corpus-found/$$target" -- -set_cover_merge=1 && \
	  rm -f "corpus/$$target"/* && cp target/smallest/* "corpus/$$target"; \
	done

bench: ## figures beside their budgets (DESIGN section 7)
	cargo bench $(FEATURES) --bench '*'

audit: ## licences, bans and sources of all dependencies
	@command -v cargo-deny >/dev/null 2>&1 || cargo install --locked cargo-deny
	cargo deny check licenses bans sources

prompts: ## speaks what changed in ivr-scripts/prompts/texts.toml (espeak-ng, sox)
	ivr-scripts/prompts/make.sh

schemas: ## docs/schema/*.json from the configuration's structs
	UPDATE_SCHEMAS=1 cargo test --quiet -p server schemas

clean:
	cargo clean
	rm -rf data
