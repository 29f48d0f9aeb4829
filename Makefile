# make help lists the targets.

GO      ?= go
BIN     := $(CURDIR)/bin
CACHE   := $(CURDIR)/.cache
LINT    := $(CACHE)/bin/golangci-lint-v2.15.0
PROMTOOL := $(CACHE)/bin/promtool
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=NO_COLOR)

# The version comes from git describe: Go's own stamp fails in a checkout that
# belongs to another user.
FLAGS := -trimpath -buildvcs=false -ldflags '-s -w -X main.release=$(VERSION) -X main.commit=$(COMMIT)'
BUILD := CGO_ENABLED=0 $(GO) build $(FLAGS)
TEST  := PATH="$(CACHE)/bin:$$PATH" $(GO) test -count=1 $(TESTFLAGS)

.PHONY: build demo test race fuzz soak datapath-test datapath-fuzz datapath-images guides-test package-test deb man bench lint clean help

build: ## build bin/vifguard (the default)
	$(BUILD) -o $(BIN)/vifguard ./cmd/vifguard

demo: build ## show vifguard at work on a private Open vSwitch (with sudo unless root)
	$(BUILD) -o $(BIN)/demo ./test/demo
	@$(SUDO) packaging/deps.sh demo
	@$(SUDO) $(BIN)/demo

test: $(PROMTOOL) ## run all tests; those that need root are skipped without
	packaging/deps.sh test
	CGO_ENABLED=0 $(TEST) ./...

race: $(PROMTOOL) ## run all tests with the race detector
	packaging/deps.sh test race
	CGO_ENABLED=1 $(TEST) -race ./...

fuzz: ## compare oracle and switch on mutated frames (FUZZ=1h SEED=random)
	packaging/deps.sh test
	$(TEST) ./test/conformance -run 'TestFuzz$$' -v -timeout 0 -conformance.fuzz=$(or $(FUZZ),1h) -conformance.seed=$(or $(SEED),$(shell date +%s))

soak: ## plug and unplug ports under the agent; its memory must stay flat (SOAK=1h)
	packaging/deps.sh test
	$(TEST) ./test/fault -run 'TestChurn$$' -v -timeout 0 -fault.churn=$(or $(SOAK),1h)

DATAPATH := $(TEST) ./test/datapath -tags datapath -timeout 0 -datapath.images=$(CACHE)/datapath

datapath-test: datapath-images ## run the verdicts on the kernel's datapath and tc flower, in virtual machines (root)
	$(DATAPATH) $(DATAPATHFLAGS)

datapath-fuzz: datapath-images ## look for sequences of frames that get one through there (FUZZ=30m SEED=random)
	$(DATAPATH) -v -run 'TestDatapaths/(kernel|tc)$$' -datapath.only=sequences -datapath.fuzz=$(or $(FUZZ),30m) -datapath.seed=$(or $(SEED),$(shell date +%s)) $(DATAPATHFLAGS)

datapath-images:
	packaging/deps.sh datapath
	test/datapath/image.sh bookworm $(CACHE)/datapath $(MIRROR)
	test/datapath/image.sh trixie $(CACHE)/datapath $(MIRROR)

guides-test: ## try docs/guides/libvirt.md with a real libvirtd (root; downloads 300 MB of Debian once)
	packaging/deps.sh test guides
	test/libvirt/root.sh $(CACHE)/libvirt-root $(MIRROR)
	$(TEST) ./test/libvirt -tags guides -v -libvirt.root=$(CACHE)/libvirt-root

package-test: ## install, upgrade and purge the Debian package in a container (with Docker)
	packaging/deps.sh deb
	$(TEST) ./test/package -tags packagetest -timeout 0

deb: build man ## build the Debian package, in bin/deb
	packaging/deps.sh deb
	VERSION='$(VERSION)' packaging/deb.sh $(BIN) $(BIN)/deb

man: ## write the manual pages, in bin/man
	rm -rf $(BIN)/man
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git show -s --format=%ct 2>/dev/null || stat -c %Y go.mod)} \
		CGO_ENABLED=0 $(GO) run $(FLAGS) -tags man ./cmd/vifguard man $(BIN)/man

bench: build ## measure beside ovs-ofctl and OVN, and update docs/performance.md (BENCHFLAGS=-quick)
	$(BUILD) -o $(BIN)/bench ./test/bench
	@$(SUDO) packaging/deps.sh bench
	@$(SUDO) $(BIN)/bench -doc docs/performance.md $(BENCHFLAGS)

lab: lab-deps build ## bring up the container lab: two hosts to try things on
	@test/hosts/lab up

lab-show: ## play SCENARIO=Failover, or all, on the lab that is up
	@test/hosts/lab show $(SCENARIO)

lab-test: lab-deps build ## run all of the lab's scenarios, print a page, remove the lab (KEEP=1 keeps images)
	@TESTFLAGS="$(TESTFLAGS)" test/hosts/lab test

lab-down: ## remove the lab
	@test/hosts/lab down

.PHONY: lab lab-deps lab-show lab-test lab-down
lab-deps:
	@$(SUDO) packaging/deps.sh lab

lint: $(LINT) ## run go vet and golangci-lint
	$(GO) vet -tags man,packagetest,lab,guides,datapath ./...
	GOLANGCI_LINT_CACHE=$(CACHE)/golangci-lint $(LINT) run ./...

# The version is part of the name, so that another one is installed when it changes.
$(LINT):
	@mkdir -p $(CACHE)/install
	CGO_ENABLED=0 GOBIN=$(CACHE)/install $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(lastword $(subst lint-, ,$@))
	@mkdir -p $(@D) && mv $(CACHE)/install/golangci-lint $@

# The tests of the alert rules need promtool alone: the package would bring a service.
$(PROMTOOL):
	@mkdir -p $(@D) $(CACHE)/download
	cd $(CACHE)/download && rm -f prometheus_*.deb && { apt-get -qq download prometheus || { apt-get -qq update && apt-get -qq download prometheus; }; }
	cd $(CACHE)/download && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool >$@.new
	@rm -rf $(CACHE)/download && chmod 755 $@.new && mv $@.new $@

clean: ## remove everything that was built
	rm -rf $(BIN) $(CACHE)

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'
