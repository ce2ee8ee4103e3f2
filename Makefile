# SPDX-License-Identifier: GPL-3.0-or-later
#
# make demo   the main job in a lab of network namespaces, without root
# make test   every test: Swift's, and the live ones on the real kernel queue
# make help   the other targets

SWIFT      ?= swift
PREFIX     ?= /usr
DESTDIR    ?=
RELEASE    := $(SWIFT) build -c release --static-swift-stdlib
BIN        := .build/release
PYTHON     := /usr/bin/python3

# What the programs are built with, and what the lab and the live tests drive.
BUILD_PACKAGES := libnetfilter-queue-dev libmnl-dev libyaml-dev libpcap-dev pkg-config
LAB_PACKAGES   := iptables nftables iproute2 iputils-ping ethtool conntrack curl nginx-light iperf3 nmap hping3 tcpdump \
                  traceroute openssh-server openssh-client dnsmasq-base bind9-dnsutils socat netcat-openbsd python3-scapy
FUZZ_SECONDS   ?= 60

.PHONY: help deps build test test-swift test-live check demo bench bench-queue fuzz install clean

help:
	@echo 'deps build test check demo bench bench-queue fuzz install clean'

# Installs from Debian what is missing; with everything in place it changes nothing and needs no root.
deps:
	@missing=$$(for p in $(BUILD_PACKAGES) $(LAB_PACKAGES); do \
	    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	    echo "installing:" $$missing; \
	    run=; [ "$$(id -u)" = 0 ] || run=sudo; \
	    $$run apt-get update -qq && \
	    $$run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

build: deps
	$(RELEASE) --product portreeved
	$(RELEASE) --product portreeve

test: test-swift test-live

test-swift: deps
	$(SWIFT) test

test-live: build
	$(PYTHON) Tests/Live/run.py --bin $(BIN)

# Format, and the tests again under the address and the thread sanitizer.
check: deps
	$(SWIFT) format lint --strict --recursive Sources Tests Package.swift
	$(SWIFT) test --sanitize address --scratch-path .build-asan
	$(SWIFT) test --sanitize thread --scratch-path .build-tsan

demo: build
	@$(PYTHON) Tests/Live/demo.py --bin $(BIN)

bench: deps
	$(RELEASE) --product portreeve-bench
	$(BIN)/portreeve-bench

bench-queue: build
	$(PYTHON) Tests/Benchmarks/bench_queue.py --bin $(BIN)

fuzz: deps
	Tests/Fuzz/run.sh -t $(FUZZ_SECONDS)

install: build
	install -D -m 755 $(BIN)/portreeved $(DESTDIR)$(PREFIX)/sbin/portreeved
	install -D -m 755 $(BIN)/portreeve $(DESTDIR)$(PREFIX)/bin/portreeve
	install -d -m 755 $(DESTDIR)/etc/portreeve/policy.d $(DESTDIR)$(PREFIX)/share/doc/portreeve/examples
	test -e $(DESTDIR)/etc/portreeve/policy.yaml || \
	    install -m 644 Config/policy.yaml $(DESTDIR)/etc/portreeve/policy.yaml
	install -m 644 Config/examples/*.yaml $(DESTDIR)$(PREFIX)/share/doc/portreeve/examples

clean:
	rm -rf .build .build-*
