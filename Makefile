# git-coop. `make help` lists the targets.

CARGO   ?= cargo
PREFIX  ?= /usr/local
DESTDIR ?=

bindir  = $(DESTDIR)$(PREFIX)/bin
mandir  = $(DESTDIR)$(PREFIX)/share/man
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir  = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
libdir  = $(DESTDIR)$(PREFIX)/libexec/git-coop
fishdir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

# the program that runs first in a box has to run in any image
ifeq ($(shell uname -s),Linux)
STATIC = -C target-feature=+crt-static
endif

PROGRAMS = git-coop git-coop-fork git-coop-review git-coop-merge git-coop-scan git-coop-loop git-coop-fleet

.PHONY: help build install uninstall try test lint fmt man bench fuzz clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

build: ## build the programs (target/release)
	$(CARGO) build --release --locked --bins
	$(CARGO) rustc --release --locked --bin git-coop-box -- $(STATIC)

install: build ## install programs, man pages and completions (PREFIX, DESTDIR)
	install -d $(bindir) $(libdir) $(mandir)/man1 $(mandir)/man7 $(bashdir) $(zshdir) $(fishdir)
	for p in $(PROGRAMS); do install -m 755 target/release/$$p $(bindir)/; done
	install -m 755 target/release/git-coop-box $(libdir)/
	install -m 644 man/*.1 $(mandir)/man1/
	install -m 644 man/*.7 $(mandir)/man7/
	install -m 644 src/cli/completions/git-coop.bash $(bashdir)/git-coop
	install -m 644 src/cli/completions/_git-coop $(zshdir)/_git-coop
	install -m 644 src/cli/completions/git-coop.fish $(fishdir)/git-coop.fish

uninstall: ## remove what install put there
	for p in $(PROGRAMS); do rm -f $(bindir)/$$p; done
	rm -f $(libdir)/git-coop-box; rmdir $(libdir) 2>/dev/null || true
	for m in man/*.1; do rm -f $(mandir)/man1/$$(basename $$m); done
	for m in man/*.7; do rm -f $(mandir)/man7/$$(basename $$m); done
	rm -f $(bashdir)/git-coop $(zshdir)/_git-coop $(fishdir)/git-coop.fish

try: ## a sample repository, a fork, a scripted agent in a real box, a landing
	scripts/try.sh

test: ## everything: format, lints, unit, integration and box tests, with their own set-up
	scripts/test.sh

lint: ## rustfmt and clippy
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

fmt: ## format the code
	$(CARGO) fmt

man: ## write the man pages anew from the commands
	UPDATE=1 $(CARGO) test --locked --test it man::

FUZZ_SECONDS ?= 30
fuzz: ## fuzz the content scanner and the baseline parser, FUZZ_SECONDS each
	scripts/fuzz.sh $(FUZZ_SECONDS)

bench: build ## the figures, as ratios measured in one run
	@cd target/release && ls -l $(PROGRAMS) | awk '{ printf "%-18s %5.1f MiB (at most 10)\n", $$NF, $$5 / 1048576 }'
	$(CARGO) bench --locked $(foreach b,$(sort $(basename $(notdir $(wildcard tests/bench/*.rs)))),--bench $(b))

clean: ## remove what was built
	$(CARGO) clean
