# Errand. `make` builds, `make run` shows it at work, `make help` lists the rest.
# One file, no configure step: sources are found by wildcard, objects go to build/MODE/, so modes never mix.
# SPDX-License-Identifier: Apache-2.0

MODE ?= release
CC   := $(if $(filter fuzz,$(MODE)),clang,$(if $(filter default,$(origin CC)),gcc,$(CC)))
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif
MAKEFLAGS += --no-print-directory --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

IS_CLANG := $(findstring clang,$(notdir $(CC)))
BUILD    := build/$(MODE)$(if $(IS_CLANG),$(if $(filter fuzz,$(MODE)),,-clang))$(if $(WERROR),-strict)
BIN      := $(BUILD)/bin
GEN      := build/gen

# --- Flags ---------------------------------------------------------------------------------------------------------
LIBS     := rdkafka libmicrohttpd hiredis libcurl libprotobuf-c jansson libuv libssl libcrypto yaml-0.1
# TLS to Redis, where hiredis has it.
ifeq ($(shell pkg-config --exists hiredis_ssl 2>/dev/null && echo yes),yes)
LIBS     += hiredis_ssl
CPPFLAGS += -DHAVE_HIREDIS_SSL
endif
CPPFLAGS += -I. -isystem $(GEN) -D_GNU_SOURCE $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
LDLIBS   += $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lm -pthread

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wformat=2 -Wundef -Wpointer-arith -Wcast-qual -Wcast-align \
	-Wwrite-strings -Wvla -Wredundant-decls -Wimplicit-fallthrough -Wdouble-promotion
# A script in Lua is one string, of more than the 4,095 bytes that ISO C asks every compiler to take.
WARNINGS += -Wno-overlength-strings
ifeq ($(IS_CLANG),)
WARNINGS += -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init -Wformat-signedness \
	-Wcast-align=strict
else
WARNINGS += -Wcomma -Wextra-semi-stmt -Wconditional-uninitialized -Wassign-enum -Wmissing-variable-declarations \
	-Wunreachable-code-aggressive
endif

SANITIZE       := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all
CFLAGS_release := -O2 -g -fno-omit-frame-pointer -fstack-protector-strong -fstack-clash-protection \
	-D_FORTIFY_SOURCE=2 -fPIE
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
CFLAGS_debug   := -Og -g3 -D_FORTIFY_SOURCE=2
CFLAGS_asan    := $(SANITIZE) -fsanitize=address,undefined
LDFLAGS_asan   := -fsanitize=address,undefined
CFLAGS_tsan    := $(SANITIZE) -fsanitize=thread
LDFLAGS_tsan   := -fsanitize=thread -rdynamic
CFLAGS_mutant  := -O1 -g -DERRAND_MUTANTS
CFLAGS_cov     := -O0 -g --coverage
LDFLAGS_cov    := --coverage
CFLAGS_fuzz    := $(SANITIZE) -fsanitize=fuzzer-no-link,address,undefined
LDFLAGS_fuzz   := -fsanitize=fuzzer,address,undefined
$(if $(CFLAGS_$(MODE)),,$(error MODE=$(MODE): it is one of release, debug, asan, tsan, mutant, cov, fuzz))

ALL_CFLAGS  = -std=gnu17 -pthread -fno-common $(CFLAGS_$(MODE)) $(WARNINGS) $(if $(WERROR),-Werror) $(CFLAGS)
ALL_LDFLAGS = -pthread $(LDFLAGS_$(MODE)) $(LDFLAGS)

# --- What there is -------------------------------------------------------------------------------------------------
LAYERS   := schemas infra producers consumers gateway
FOLDERS  := schemas infra infra/simulator producers consumers consumers/verify gateway gateway/http gateway/cli
SOURCES  := $(wildcard $(FOLDERS:%=%/*.c))
MODULES  := $(filter-out %_main.c,$(SOURCES))
ARCHIVES := $(patsubst %,$(BUILD)/lib%.a,gateway consumers producers infra schemas)
TESTS    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*$(T)*_test.c))
HELPERS  := $(filter-out %_test.c,$(wildcard tests/unit/*.c))
BENCHES  := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(filter-out tests/bench/tool.c,$(wildcard tests/bench/*.c)))
FUZZERS  := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(wildcard tests/fuzz/*$(T)*_fuzz.c))
SHIM     := $(if $(filter tsan,$(MODE)),$(BUILD)/tests/tsan_shim.o)

# Program and the file with its main().
MAINS    := errand-gateway:gateway/http/gateway_main errand:gateway/cli/errand_main \
	errand-worker:consumers/worker_main errand-recorder:consumers/recorder_main \
	errand-delayer:producers/delayer_main \
	errand-simulator:infra/simulator/simulator_main errand-devbroker:infra/kafka_mock_main
program   = $(firstword $(subst :, ,$(1)))
main_of   = $(lastword $(subst :, ,$(1)))
PROGRAMS := $(foreach m,$(MAINS),$(if $(wildcard $(call main_of,$(m)).c),$(BIN)/$(call program,$(m))))

PROTOS   := $(wildcard schemas/*.proto)
PROTO_C  := $(PROTOS:%.proto=$(GEN)/%.pb-c.c)
# Files that programs carry within them; their name there is the path without its first folder (infra/embed.h).
EMBED    := $(wildcard infra/deploy/local.yaml infra/deploy/kafka/pom.xml infra/deploy/kafka/server.properties \
	infra/deploy/kafka/log4j2.properties gateway/drills/*.yaml)
EMBED_C  := $(GEN)/infra/embed_table.c

VERSION  := $(shell cat VERSION)$(if $(filter release,$(MODE)),$(shell git rev-parse --short=10 HEAD 2>/dev/null | sed 's/^/+g/'))

.PHONY: all programs tests-built fuzzers-built
all: programs ## build the programs into build/release/bin (MODE=debug|asan|tsan|cov: build/MODE/bin)
programs: $(PROGRAMS) $(ARCHIVES)
tests-built: $(TESTS) $(BENCHES)
fuzzers-built: $(FUZZERS)

# --- Rules ---------------------------------------------------------------------------------------------------------
objects   = $(patsubst %.c,$(BUILD)/%.o,$(filter $(1)/%,$(MODULES)))
generated = $(patsubst $(GEN)/%.c,$(BUILD)/gen/%.o,$(filter $(GEN)/$(1)/%,$(PROTO_C) $(EMBED_C)))
# An archive is made anew also when a source has gone: its list of objects is kept beside it.
members   = $(call objects,$(1)) $(call generated,$(1))
same      = $(and $(findstring $(1),$(2)),$(findstring $(2),$(1)))
define archive
$(BUILD)/lib$(1).a: $(call members,$(1)) $(if $(call same,$(file <$(BUILD)/lib$(1).list),$(call members,$(1))),,force)
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$(filter %.o,$$^)
	@echo '$(call members,$(1))' >$(BUILD)/lib$(1).list
endef
$(foreach l,$(LAYERS),$(eval $(call archive,$(l))))

define linked
$(BIN)/$(call program,$(1)): $(BUILD)/$(call main_of,$(1)).o $(SHIM) $(ARCHIVES)
endef
$(foreach m,$(MAINS),$(eval $(call linked,$(m))))
$(TESTS): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(HELPERS:%.c=$(BUILD)/%.o) $(SHIM) $(ARCHIVES)
$(TESTS): LDLIBS += -lcmocka
$(PROGRAMS) $(TESTS):
	@mkdir -p $(@D)
	@echo "link $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

$(BENCHES): $(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/tests/bench/tool.o $(SHIM)
	@mkdir -p $(@D)
	@echo "link $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -Wl,--as-needed $(LDLIBS)
$(BUILD)/bench/codec: $(BUILD)/libschemas.a # the one that measures code of ours, too

# The layers that read what strangers write are enough.
$(FUZZERS): $(BUILD)/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/libinfra.a $(BUILD)/libschemas.a
	@echo "link $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -Wl,--as-needed $(LDLIBS)

$(BUILD)/%.o: %.c Makefile | $(PROTO_C)
	@mkdir -p $(@D)
	@echo "cc   $<"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/gen/%.pb-c.o: $(GEN)/%.pb-c.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -w -MMD -MP -c -o $@ $<
$(BUILD)/gen/infra/embed_table.o: $(EMBED_C) $(EMBED) Makefile
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<
$(BUILD)/tests/tsan_shim.o: tests/tsan_shim.c Makefile
	@mkdir -p $(@D)
	@$(CC) -std=gnu17 -g -O1 -c -o $@ $<
# The public contract says `string`; for C the same wire field is generated as bytes, since protobuf-c's strings lose
# what follows a NUL. protoc-c speaks only when it fails: a newer one warns each time that its name will change.
$(GEN)/%.pb-c.c: %.proto
	@mkdir -p $(GEN)/proto/$(*D)
	@sed 's/\bstring \([a-z]\)/bytes \1/' $< >$(GEN)/proto/$<
	@said=$$(protoc-c --proto_path=$(GEN)/proto --c_out=$(GEN) $(GEN)/proto/$< 2>&1) || { echo "$$said" >&2; exit 1; }
$(EMBED_C): infra/embed.sh $(EMBED) Makefile
	@mkdir -p $(@D)
	@infra/embed.sh $(EMBED) >$@
$(BUILD)/infra/version.o: CPPFLAGS += -DERRAND_VERSION='"$(VERSION)"'
$(BUILD)/infra/version.o: $(GEN)/version-$(MODE)
.PHONY: force
$(GEN)/version-$(MODE): force
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@

-include $(patsubst %.c,$(BUILD)/%.d,$(SOURCES) $(wildcard tests/unit/*.c tests/bench/*.c tests/fuzz/*.c))

# --- Running it ----------------------------------------------------------------------------------------------------
.PHONY: run stop install install-deps
run: ## install what is missing, build, start everything here, and run a first job
	@infra/deploy/install-deps.sh build run
	@$(MAKE) MODE=release programs
	@infra/deploy/first-run.sh build/release/bin
stop: ## stop what `make run` started
	@build/release/bin/errand down
install: ## install programs, manual pages and completions (PREFIX=/usr/local, DESTDIR= for packages)
	@$(MAKE) MODE=release programs
	@infra/deploy/install.sh build/release/bin $(or $(PREFIX),/usr/local)
install-deps: ## install the packages that building, running and `make unit` need (Debian)
	@infra/deploy/install-deps.sh build run unit

# --- Proving it ----------------------------------------------------------------------------------------------------
.PHONY: test check lint unit system asan deaths tsan cov format fuzz raw
test: ## everything, as CI runs it: unit tests and real stacks, with sanitizers; the last line is the count
	@infra/deploy/install-deps.sh build run test
	+@tests/test.sh
check: ## before a commit, under a minute: format, architecture, warnings, clang-tidy of what changed, unit tests
	@infra/deploy/install-deps.sh build check
	+@tests/check.sh changed
lint: ## the same checks over every file, and clang's warnings
	@infra/deploy/install-deps.sh build check
	+@tests/check.sh all
unit: tests-built ## the unit tests (T=word: those whose name has it; MODE=asan: with sanitizers)
	@tests/run.py $(TESTS:%=--unit %)
asan: ## the unit tests with the address and undefined behaviour sanitizers
	@$(MAKE) MODE=asan unit
system: programs ## the system tests on real stacks (T=word: those whose name has it)
	@infra/deploy/install-deps.sh test
	@tests/venv.sh
	@tests/run.py --python build/venv/bin/python --bin $(BIN) --system tests/system $(if $(T),--only '$(T)')
DEATHS := test_chaos.py or test_chaos_storm or test_chaos_delays or test_brokers or test_crash or test_failover or test_fatal or \
	test_late_answer or test_late_write or test_ordered or test_outlived or test_overload or test_promises or test_rolling or test_slow_parts or \
	test_suspects or test_twice or test_unproven or test_verdict
deaths: ## of the system tests those in which something dies, is emptied or too slow, and nothing may be lost; 8 to 9 min
	@infra/deploy/install-deps.sh build run test
	@$(MAKE) MODE=release programs
	@$(MAKE) MODE=asan programs
	@tests/venv.sh
	@tests/run.py --python build/venv/bin/python --bin build/asan/bin --system tests/system \
		--only '$(DEATHS)'
TSAN_ONLY := threads or happy or cancel or suspects or ordered or limits or retries or delays or blocking or poison or crash
tsan: ## the unit tests and the system tests of what runs beside each other with the thread sanitizer
	@infra/deploy/install-deps.sh build run test
	@$(MAKE) MODE=tsan programs tests-built
	@tests/venv.sh
	@tests/run.py $(patsubst tests/unit/%.c,--unit build/tsan/tests/%,$(wildcard tests/unit/*_test.c)) \
		--python build/venv/bin/python --system tests/system --only "$(TSAN_ONLY)" --bin build/tsan/bin --tsan-bin build/tsan/bin
FUZZ_S ?= 60
RAW    ?= 100000
fuzz: ## each fuzz target for FUZZ_S seconds (60), findings in build/fuzz/findings; then `make raw` (T=word: only targets whose name has it)
	@infra/deploy/install-deps.sh build run test
	@$(MAKE) MODE=fuzz fuzzers-built
	@tests/run.py --fuzz-s $(FUZZ_S) --fuzz-seed 0 --fuzz-keep \
		$(patsubst tests/fuzz/%.c,--fuzz build/fuzz/%,$(wildcard tests/fuzz/*$(T)*_fuzz.c))
	@[ -n "$(T)" ] || $(MAKE) raw
raw: ## broken requests (RAW=100000) against a live gateway, sanitized
	@$(MAKE) MODE=asan programs
	@tests/venv.sh
	@build/venv/bin/python -m pytest tests/system/test_raw.py -q -s --bin=build/asan/bin --raw-requests=$(RAW)
cov: ## how much of schemas/ the unit tests cover; fails below 95 % of its lines
	@infra/deploy/install-deps.sh build check
	@find build/cov -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) MODE=cov T=schemas unit
	@gcovr --root . --object-directory build/cov --filter 'schemas/' --fail-under-line 95 build/cov/schemas
.PHONY: mutants
mutants: ## break the product on purpose, one way after the other: does its test see it? (M=name: one of them)
	@infra/deploy/install-deps.sh build run test
	@$(MAKE) MODE=mutant programs tests-built
	@tests/venv.sh
	@tests/mutants.py $(M)
.PHONY: chaos
CHAOS_S ?= 1800
SEED    ?= 0
chaos: ## everything dies, round after round for CHAOS_S seconds (1800), under load; the checker judges (SEED=n repeats)
	@infra/deploy/install-deps.sh build run test
	@$(MAKE) MODE=release programs
	@tests/venv.sh
	@build/venv/bin/python tests/chaos/run.py --seconds $(CHAOS_S) --seed $(SEED)
	@build/venv/bin/python -m pytest -q -s --long --bin=build/release/bin $(addprefix tests/system/test_,chaos_storm.py chaos_delays.py chaos_verb.py rolling.py)
.PHONY: trixie
trixie: ## in a bare Debian 13, made in build/trixie: build, unit tests, a first job; then the steps of the image (as root)
	@infra/deploy/install-deps.sh bare
	@infra/deploy/bare-debian.sh trixie build/trixie 'infra/deploy/install-deps.sh build run unit; \
		make CFLAGS=-Werror programs unit; make run; make stop'
	@tests/image.py build/trixie build/trixie-image
.PHONY: bench bench-peers bench-flame benches bench-instructions
benches: $(BENCHES)
bench: ## how near the stack comes to what its libraries can do, measured now (ROW=names: only those; BROKER=embedded)
	@infra/deploy/install-deps.sh build run test bench
	@$(MAKE) MODE=release programs benches
	@tests/venv.sh
	@build/venv/bin/python tests/bench/run.py $(addprefix --row ,$(ROW)) $(addprefix --broker ,$(BROKER))
bench-flame: ## where the time of gateway, worker and recorder goes under load: build/flame-*.svg (perf)
	@infra/deploy/install-deps.sh build run test bench
	@$(MAKE) MODE=release programs
	@tests/venv.sh
	@build/venv/bin/python tests/bench/flame.py
bench-peers: ## the same jobs over the same loops beside BullMQ and Restate, which come from npm into build/peers (ROW=names)
	@infra/deploy/install-deps.sh build run test bench peers
	@$(MAKE) MODE=release programs benches
	@tests/venv.sh
	@build/venv/bin/python tests/bench/run.py --peers $(addprefix --row ,$(ROW))
bench-instructions: ## instructions a job costs each process, counted by callgrind on any machine (NOTE=words: kept in docs/instructions.jsonl)
	@infra/deploy/install-deps.sh build run test bench
	@$(MAKE) MODE=release programs
	@tests/venv.sh
	@build/venv/bin/python tests/bench/instructions.py $(if $(NOTE),--note '$(NOTE)')
format: ## put every C file into the one format
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs -r clang-format -i

.PHONY: clean help flags
flags: $(PROTO_C)
	@echo '-std=gnu17 $(CPPFLAGS) -DERRAND_VERSION="$(VERSION)"'
clean: ## remove what was built
	@rm -rf build
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS="$$(printf '\t')" read -r t d; do printf '  make %-13s %s\n' "$$t" "$$d"; done
