# What can be done with this repository. `make help` lists it.
#
# `make demo` and `make test` each work as the only command on a fresh clone: they build what they need first.

CARGO ?= cargo
HOST := $(shell rustc -vV | sed -n 's/^host: //p')

.DEFAULT_GOAL := help
.PHONY: help demo build builtin test check bench dist image boot-test screenshot clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: build ## start four virtual Pis, deploy, invoke, scale, unplug one, invoke again
	target/debug/bramble demo --tour

build: builtin
	$(CARGO) build --locked -p cli

# The files that go into built-in function images: static, because the images hold nothing else.
builtin:
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --locked --release --target $(HOST) -p watchdog -p functions
	mkdir -p target/builtin
	cp target/$(HOST)/release/fwatchdog target/$(HOST)/release/functions target/builtin/

test: ## run all tests, on Docker and without it (says first what it installs and starts)
	scripts/test

check: ## what has to hold before a change lands: format, lints, docs, arrows between rooms, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --workspace --test arm -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items
	scripts/check-arrows
	scripts/check-dependencies
	scripts/check-scripts
	scripts/check-pi-gen
	scripts/check-units

bench: ## print figures: invocation path beside nginx, memory, start times, bytes per commit
	scripts/bench

dist: ## build what Pis run, for x86_64, arm64 and armv7 (ARCH=arm64 builds one), into target/dist
	scripts/dist $(ARCH)

image: dist ## build SD-card images into target/images (root; IMAGE=arm64 or armhf builds one)
	mkdir -p target/images
	for arch in $(or $(IMAGE),arm64 armhf); do \
	  $(CARGO) run --locked --release -p image-builder -- build --arch $$arch --out target/images/bramble-$$arch.img.xz || exit 1; \
	done

boot-test: ## boot the images in emulated computers and Pis (an hour; needs qemu-system-arm; IMAGE=… for one)
	$(CARGO) build --locked -p image-builder
	for arch in $(or $(IMAGE),arm64 armhf); do scripts/boot-test target/images/bramble-$$arch.img || exit 1; done

screenshot: build ## draw the portal's pictures in docs/pictures/ (needs chromium and chromium-driver)
	$(CARGO) run --locked -p tests --example screenshot

clean:
	$(CARGO) clean
