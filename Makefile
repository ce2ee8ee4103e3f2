# SPDX-License-Identifier: GPL-3.0-or-later
#
# make demo   the main job in a lab of network namespaces, without root
# make test   every test: Swift's, and the live ones on the real kernel queue
# make help   the other targets

SWIFT      ?= swift
PREFIX     ?= /usr
DESTDIR    ?=
# No path of this directory in the programs or their debug symbols, nor a hash over it: the same source gives the same bytes
# anywhere.
SWIFTC     := -file-prefix-map $(CURDIR)=. -Xfrontend -no-clang-module-breadcrumbs -Xfrontend -disable-incremental-llvm-codegen
ANYWHERE   := $(SWIFTC:%=-Xswiftc %) -Xcc -ffile-prefix-map=$(CURDIR)=.
# The tool-chain's own linker. Debian's complains that Foundation, which comes with swift-argument-parser, could call mktemp(3).
LINKER     := -Xswiftc -use-ld=lld
RELEASE    := $(SWIFT) build -c release --static-swift-stdlib $(LINKER) $(ANYWHERE)
BIN        := .build/release
GENERATED  := .build/documents
# The program of the fast path, for the kernel.
PROGRAM    := .build/fastpath.o
PYTHON     := /usr/bin/python3

# What Swift's own programs need of a bare Debian.
SWIFT_PACKAGES := git g++ libcurl4-openssl-dev libncurses-dev libsqlite3-dev libxml2-dev tzdata
# What the programs are built with, and what the lab and the live tests drive.
BUILD_PACKAGES := libnetfilter-queue-dev libmnl-dev libyaml-dev libssl-dev zlib1g-dev pkg-config $(SWIFT_PACKAGES)
LAB_PACKAGES   := iptables nftables iproute2 iputils-ping procps ethtool conntrack curl nginx-light iperf3 nmap hping3 tcpdump \
                  traceroute openssh-server openssh-client vsftpd lftp openssl dnsmasq-base bind9-dnsutils socat \
                  netcat-openbsd python3-scapy spin \
                  python3-yaml python3-jsonschema python3-prometheus-client libnginx-mod-stream \
                  python3-pip chromium-headless-shell fonts-dejavu-core libjs-mustache libjs-chart.js \
                  rsyslog rsyslog-openssl tshark wireshark-common gzip xz-utils zstd bzip2 lz4 libglib2.0-0 libivykis0 libjson-c5 libnet1 libpcre3 libwrap0 \
                  prometheus lnav ansible-core rsyslog-relp tmux aha
# It excludes rsyslog, and is unpacked instead.
SYSLOG_NG      := .build/syslog-ng
# What bans: unpacked, so that no daemon comes with them.
BANNERS        := fail2ban crowdsec crowdsec-custom-bouncer
# Of PyPI, for the live tests alone.
LAB_PYTHON     := .build/python
WHEELS         := junitparser==5.0.3 pycef==1.11 ocsf-emitter==0.3.0 \
                  sigma-cli==3.1.0 pysigma==1.5.1 pysigma-backend-elasticsearch==2.1.1 pysigma-backend-opensearch==2.0.3 pysigma-backend-sqlite==2.0.0
# ClickHouse as a library, without what only its other interfaces need.
CLICKHOUSE     := chdb==4.4.0 chdb-core==26.9.0
PIP            := $(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target $(LAB_PYTHON)
# What builds the .deb, and what its test looks at it with.
DEB_PACKAGES   := debhelper dpkg-dev fakeroot lintian man-db mandoc bash-completion zsh fish logrotate systemd
# What makes and boots the virtual machine that the .deb is installed in.
VM_PACKAGES    := qemu-system-x86 mmdebstrap uidmap e2fsprogs fakeroot dpkg-dev
DEPS_VM        := $(MAKE) deps-vm || echo 'not everything that the virtual machine needs could be installed'
FUZZ_SECONDS   ?= 60

TEST_DEB        = $(PYTHON) Tests/Packaging/run.py
TEST_VM         = $(PYTHON) Packaging/vm/run.py $(if $(SUITE),--release $(SUITE)) .build/deb/portreeve_[0-9]*.deb $(foreach step,$(STEPS),'$(step)')

.PHONY: help fast-path deps deps-build deps-lab deps-deb deps-vm build docs test test-host test-package test-swift test-allocations \
        test-model test-live test-deb test-vm check model model-fast-path demo bench bench-queue bench-scan repeat-scan scan-policy prove-analysis \
        attack-conntrack flood-hour evasion fleet attack-stack model-bulk strict fuzz deb deb-reproducible install clean

help:
	@echo 'deps build test check model model-fast-path demo bench bench-queue bench-scan repeat-scan scan-policy prove-analysis attack-conntrack flood-hour evasion fleet attack-stack model-bulk strict fuzz deb test-deb test-vm deb-reproducible install clean'

deps: deps-build deps-lab deps-deb
deps-build: PACKAGES := $(BUILD_PACKAGES)
deps-lab:   PACKAGES := $(LAB_PACKAGES)
deps-deb:   PACKAGES := $(DEB_PACKAGES)
deps-vm:    PACKAGES := $(VM_PACKAGES)

# Installs from Debian what is missing.
deps-build deps-lab deps-deb deps-vm:
	@Packaging/install-packages $(PACKAGES)
	@wanted='$(WHEELS) $(CLICKHOUSE)'; \
	if [ $@ = deps-lab ] && [ "$$(cat $(LAB_PYTHON)/wanted 2>/dev/null)" != "$$wanted" ]; then \
	    rm -rf $(LAB_PYTHON) && $(PIP) $(WHEELS) && $(PIP) --no-deps $(CLICKHOUSE) && echo "$$wanted" >$(LAB_PYTHON)/wanted \
	    || echo "not to be had: $$wanted; the tests that need them are skipped"; fi
	@if [ $@ = deps-lab ] && [ ! -d $(SYSLOG_NG) ]; then Packaging/unpack-package syslog-ng-core $(SYSLOG_NG) \
	    || echo "not to be had: syslog-ng-core; the tests that need it are skipped"; fi
	@if [ $@ = deps-lab ]; then for package in $(BANNERS); do [ -d .build/$$package ] \
	    || Packaging/unpack-package $$package .build/$$package || echo "not to be had: $$package; the tests that need it are skipped"; \
	    done; fi

build: deps-build fast-path
	$(RELEASE) --product portreeved
	$(RELEASE) --product portreeve

# For the kernel, by a clang that knows it.
fast-path: $(PROGRAM)
$(PROGRAM): Sources/CFastPath/program/build $(wildcard Sources/CFastPath/program/*.[ch]) \
            Sources/CFastPath/include/fastpath_layout.h
	SWIFT=$(SWIFT) Sources/CFastPath/program/build $@

# The package's tests go on beside the others, most of which is waiting, and are shown after them.
test: deps deb
	$(DEPS_VM)
	$(MAKE) -j2 test-host test-package

test-host:
	$(MAKE) test-swift
	$(MAKE) test-allocations
	$(MAKE) test-model
	$(MAKE) test-live

test-package:
	@($(TEST_DEB); deb=$$?; $(TEST_VM) --short && exit $$deb) >.build/test-package.log 2>&1; status=$$?; \
	cat .build/test-package.log; exit $$status

test-swift: deps-build fast-path
	$(PYTHON) Tests/swift_tests.py $(SWIFT) test

# What takes a release build: the heap allocations of the packet path, against the numbers in the repository (a debug build allocates), and
# what check and diff say of 2,000 policies over few packets, each of which is asked.
test-allocations: deps-build
	$(RELEASE) --product portreeve-bench
	$(BIN)/portreeve-bench allocations
	$(BIN)/portreeve-bench prove

# The fast path's program beside the agent, step by step, in every order within small bounds; then within wider ones.
test-model: deps-lab
	Tests/Model/run

model-fast-path: deps-lab
	Tests/Model/run all

test-live: build deps-lab
	$(PYTHON) Tests/Live/run.py --bin $(BIN)
	@$(PYTHON) Tests/Live/reason_table.py

# What has no place for a comment, and what is no source.
NO_SOURCES := *.md *.json LICENSE .swift-format */README *.NEWS Packaging/debian/changelog Packaging/debian/copyright \
              Packaging/debian/source Tests/Fixtures Tests/Fuzz/corpus Tests/Fuzz/*/modules Tests/Benchmarks/allocations.txt

# Conversations of two modelled stacks over a bad path that nobody has seen yet, some 2,500 a round: none of their segments may be
# refused. What it found is named by its seed (TCP_MODEL_SEED repeats it).
ROUNDS ?= 20
model: deps-build
	$(SWIFT) build --build-tests
	for round in $$(seq $(ROUNDS)); do \
	    TCP_MODEL_RANDOM=1 $(SWIFT) test --skip-build --disable-xctest --filter TCPModelTests >.build/model.log || \
	    { cat .build/model.log; exit 1; }; done

# A million segments of two ends through a whole engine. Its outcome is kept in the repository, as that of `strict`.
model-bulk: deps-build
	$(SWIFT) build --build-tests
	SWIFT=$(SWIFT) $(PYTHON) Tests/Live/streams_run.py model --results Tests/Live/STREAMS.md

# What check and diff say, against 100,000 policies over few packets, each of which is asked; against two oracles that others have made,
# from PyPI; and against 100,000 packets that the kernel judges by the same rules. Its outcome is kept in the repository.
ORACLES := .build/oracles
prove-analysis: build deps-lab
	$(RELEASE) --product portreeve-bench
	Packaging/install-packages python3-pip
	$(PYTHON) -m pip install --quiet --target $(ORACLES) --upgrade oxidd z3-solver
	PYTHONPATH=$(ORACLES) $(PYTHON) Tests/Oracles/prove.py --bin $(BIN) --results Tests/Oracles/RESULTS.md

# Licence lines, format, and the tests again under the address sanitizer (with its search for leaks) and the thread sanitizer. There are
# no XCTest tests, and the XCTest runner itself leaks.
check: deps-build fast-path
	! git grep -L 'SPDX-License-Identifier: GPL-3.0-or-later' -- . $(NO_SOURCES:%=':!%') | grep .
	$(SWIFT) format lint --strict --recursive Sources Tests Package.swift
	LSAN_OPTIONS=suppressions=$(CURDIR)/Tests/leaks.supp \
	    $(SWIFT) test --disable-xctest --sanitize address --scratch-path .build-asan
	$(SWIFT) test --disable-xctest --sanitize thread --scratch-path .build-tsan

demo: build deps-lab
	@$(PYTHON) Tests/Live/demo.py --bin $(BIN)

bench: deps-build
	$(RELEASE) --product portreeve-bench
	$(BIN)/portreeve-bench
	$(BIN)/portreeve-bench analysis

bench-queue: build deps-lab
	$(PYTHON) Tests/Benchmarks/bench_queue.py --bin $(BIN)
	$(PYTHON) Tests/Benchmarks/bench_queue.py --bin $(BIN) --rfc3511
	$(PYTHON) Tests/Benchmarks/bench_fast_path.py --bin $(BIN) --program $(PROGRAM)
	$(PYTHON) Tests/Benchmarks/bench_floods.py --bin $(BIN)
	$(PYTHON) Tests/Benchmarks/bench_floods.py --bin $(BIN) --openings

bench-scan: build deps-lab
	$(PYTHON) Tests/Benchmarks/bench_scan.py --bin $(BIN)

# One plan a thousand times in parallel labs, on a loaded machine with loss: every result as the first.
repeat-scan: build deps-lab
	$(PYTHON) Tests/Benchmarks/repeat_scan.py --bin $(BIN)

# A plan of a policy of 1,000 rules, sent to a host where an agent has that policy in force. Its outcome is kept in the repository.
scan-policy: build deps-lab
	$(PYTHON) Tests/Live/policy_plans.py --bin $(BIN) --rules 1000 --results Tests/Live/PLANS.md

# 100,000 mutated conversations beside the kernel's connection tracking. Its outcome is kept in the repository.
attack-conntrack: build deps-lab
	$(PYTHON) Tests/Live/attack_conntrack.py --bin $(BIN) --results Tests/Live/CONNTRACK.md

# A flood of everything for an hour: memory, disk and counts bounded all the time, and right a second after it. Kept too.
SECONDS ?= 3600
RATE    ?= 30000
flood-hour: build deps-lab
	$(PYTHON) Tests/Live/flood_hour.py --bin $(BIN) --seconds $(SECONDS) --rate $(RATE) --results Tests/Live/FLOOD-HOUR.md

# A million segments of two kernels over a bad path, judged strictly.
strict: build deps-lab
	$(PYTHON) Tests/Live/streams_run.py kernels --bin $(BIN) --results Tests/Live/STREAMS.md

# 100,000 sequences of hostile segments beside a real stack. Kept too.
attack-stack: build deps-lab
	$(PYTHON) Tests/Live/attack_stack.py --bin $(BIN) --results Tests/Live/STACK.md

# Plays of the Ansible role against three hosts, those that lock out among them. Kept too.
fleet: build deps-lab
	PORTREEVE_FLEET=Tests/Live/FLEET.md $(PYTHON) Tests/Live/run.py --bin $(BIN) EveryPlay

# Every row of the checklist of evasions, wherever the agent may stand, with offloads and without. Kept too.
evasion: build deps-lab
	$(PYTHON) Tests/Live/evasion_run.py --bin $(BIN) --results Tests/Live/EVASION.md

fuzz: deps-build
	Tests/Fuzz/run.sh -t $(FUZZ_SECONDS)

# The manual pages and completions, from what the programs say of themselves. PREBUILT=yes takes the programs as they are.
docs: $(if $(PREBUILT),,build) $(PROGRAM)
	$(PYTHON) Packaging/man/generate.py --bin $(BIN) --to $(GENERATED)/man
	mkdir -p $(GENERATED)/completions
	$(BIN)/portreeve schema >$(GENERATED)/policy.schema.json
	$(BIN)/portreeve schema --events >$(GENERATED)/events.schema.json
	for shell in bash zsh fish; do for program in portreeve portreeved; do \
	    $(BIN)/$$program --generate-completion-script $$shell >$(GENERATED)/completions/$$program.$$shell || exit; \
	done; done
	sed -i '1{/^#!/d}' $(GENERATED)/completions/*.bash

# Debian's packages, in .build/deb.
deb: build deps-deb
	Packaging/build-deb

test-deb: deb
	$(TEST_DEB)

# The package in a virtual Debian machine; skipped where there can be none. STEPS='*upgrade* *kill*' takes those steps only.
test-vm: deb
	$(DEPS_VM)
	$(TEST_VM)

# Builds everything again elsewhere, and compares.
deb-reproducible: deb
	Packaging/check-reproducible

install: docs
	install -D -m 755 $(BIN)/portreeved $(DESTDIR)$(PREFIX)/sbin/portreeved
	install -D -m 755 $(BIN)/portreeve $(DESTDIR)$(PREFIX)/bin/portreeve
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/portreeve $(PROGRAM)
	install -d -m 755 $(DESTDIR)/etc/portreeve/policy.d $(DESTDIR)/etc/portreeve/examples/lists \
	    $(DESTDIR)/etc/portreeve/examples/plans
	test -e $(DESTDIR)/etc/portreeve/policy.yaml || \
	    install -m 644 Config/policy.yaml $(DESTDIR)/etc/portreeve/policy.yaml
	install -m 644 Config/policy.d/README $(DESTDIR)/etc/portreeve/policy.d
	install -m 644 Config/examples/*.yaml $(DESTDIR)/etc/portreeve/examples
	install -m 644 Config/examples/lists/*.txt $(DESTDIR)/etc/portreeve/examples/lists
	install -m 644 Config/examples/plans/*.yaml $(DESTDIR)/etc/portreeve/examples/plans
	install -D -m 644 Config/bans/fail2ban.conf $(DESTDIR)/etc/fail2ban/action.d/portreeve.conf
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/lib/portreeve Config/bans/crowdsec-bouncer
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/portreeve Packaging/systemd/local-only.conf
	install -D -m 644 Config/grafana/portreeve.json $(DESTDIR)$(PREFIX)/share/portreeve/grafana-dashboard.json
	cd Config/fleet && find . -type f -exec install -D -m 644 {} $(abspath $(DESTDIR)$(PREFIX)/share/portreeve/fleet)/{} \;
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(GENERATED)/man/*.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 $(GENERATED)/man/*.5
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/portreeve $(GENERATED)/policy.schema.json $(GENERATED)/events.schema.json
	for program in portreeve portreeved; do \
	    install -D -m 644 $(GENERATED)/completions/$$program.bash \
	        $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$program && \
	    install -D -m 644 $(GENERATED)/completions/$$program.zsh \
	        $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_$$program && \
	    install -D -m 644 $(GENERATED)/completions/$$program.fish \
	        $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$program.fish || exit; \
	done

clean:
	rm -rf .build .build-*
