# `make help` lists what there is to type.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: $(shell awk -F: '/^[a-z-]+:/ { print $$1 }' $(MAKEFILE_LIST))

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Tools that load the lab's hosts share the clients of the lab and the helpers of its tests.
with_helpers := PYTHONPATH=$(CURDIR)/lab:$(CURDIR)/tests:$(CURDIR)/ansible/module_utils:$(CURDIR)/tools python
# Those that draw, and need no host, run where matplotlib is.
with_plots := PYTHONPATH=$(CURDIR)/ansible/module_utils build/plots/bin/python
# So that what is piped comes line by line.
export PYTHONUNBUFFERED := 1
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Keep tools from picking up another project's environment.
unexport PYTHONPATH

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Virtual environment and the packages that the lab needs
	@tools/setup.sh venv
	@tools/setup.sh lab

staging: lab-up ## Start the lab, deploy staging, verify it (the main job)
	ansible-playbook site.yml -l staging

explain: ## Each setting of a host and where it comes from: make explain HOST=staging-api1
	@tools/setup.sh venv
	@ansible-playbook ansible/playbooks/explain.yml -l $(or $(HOST),staging)

verify: ## Say what really runs on staging, and fail where it is not what should run
	@tools/setup.sh venv
	ansible-playbook ansible/playbooks/verify.yml -l staging

test: setup ## Pass every test; those with hosts two at a time, each with hosts of its own
	$(MAKE) --no-print-directory --jobs=3 lint test-unit lab-up
	$(MAKE) --no-print-directory --jobs=2 test-lab mutants test-molecule test-compose

test-unit: setup ## Unit tests, with real gunicorn processes but without the lab
	pytest tests/unit --numprocesses 4

terraform-test: setup ## Terraform's modules, and every environment applied to a stand-in for AWS (no credentials)
	@tools/setup.sh terraform
	@tools/setup.sh aws
	TF_CLI_CONFIG_FILE=$(CURDIR)/build/terraform/rc pytest tests/terraform --numprocesses 3 --dist loadfile

terraform-lint: ## checkov over Terraform's files (installs a hundred packages of its own, once)
	@tools/setup.sh checkov
	build/checkov/bin/checkov --directory terraform --framework terraform --compact --quiet --skip-download

terraform-report: setup ## What every environment would be on AWS: hosts, requests a second, connections, price a month
	@tools/setup.sh terraform
	@TF_CLI_CONFIG_FILE=$(CURDIR)/build/terraform/rc PYTHONPATH=$(CURDIR)/tests/terraform:$(CURDIR)/lab:$(CURDIR)/tests:$(CURDIR)/ansible/module_utils python tools/terraform_report.py

test-molecule: lab-up ## Molecule: check mode, converge, idempotence, verify, flip under load
	molecule test 2>&1 | sed --unbuffered 's/^/molecule | /'

# Its host is gone afterwards unless a test failed.
test-compose: lab-up ## An installation of Docker Compose: adopted, changed, updated by its own script, given back
	{ export ANSIBLE_INVENTORY=molecule/compose/inventory; python lab/lab.py up --inventory $$ANSIBLE_INVENTORY && \
	pytest tests/compose --verbose && python lab/lab.py down --inventory $$ANSIBLE_INVENTORY; \
	} 2>&1 | sed --unbuffered 's/^/compose  | /'

# None of what follows is part of `make test`, for its time.
in_commercial = export ANSIBLE_INVENTORY=tests/commercial/inventory; { \
	python lab/lab.py up --inventory $$ANSIBLE_INVENTORY && $(1) && python lab/lab.py down --inventory $$ANSIBLE_INVENTORY; \
	} 2>&1 | sed --unbuffered 's/^/commercial | /'

test-commercial: lab-up ## A commercial installation: refused, GraphQL taken apart under load, rebooted, behind other proxies
	$(call in_commercial,pytest tests/commercial --verbose -rP)

mutants-compose: lab-up ## Every fault that applies, in containers of a commercial installation, and which were caught
	$(call in_commercial,pytest tests/mutation --verbose)

test-swarm: lab-up ## A stack of three hosts: adopted, changed under load, broken in every way, a node lost; not part of make test
	{ export ANSIBLE_INVENTORY=molecule/swarm/inventory; python lab/lab.py up --inventory $$ANSIBLE_INVENTORY && \
	pytest tests/swarm --verbose -rP && python lab/lab.py down --inventory $$ANSIBLE_INVENTORY; \
	} 2>&1 | sed --unbuffered 's/^/swarm    | /'

test-proxy: lab-up ## nginx at the edge: slow readers, a dead host, a flip under load, TLS; not part of make test
	{ export ANSIBLE_INVENTORY=tests/proxy/inventory; python lab/lab.py up --inventory $$ANSIBLE_INVENTORY && \
	pytest tests/proxy --verbose -rP && python lab/lab.py down --inventory $$ANSIBLE_INVENTORY; \
	} 2>&1 | sed --unbuffered 's/^/proxy    | /'

test-observability: lab-up ## Prometheus, alerts and dashboard over hosts under load, exporters killed; not part of make test
	@tools/setup.sh plots
	{ export ANSIBLE_INVENTORY=tests/observability/inventory; python lab/lab.py up --inventory $$ANSIBLE_INVENTORY && \
	pytest tests/observability --verbose -rP && python lab/lab.py down --inventory $$ANSIBLE_INVENTORY; \
	} 2>&1 | sed --unbuffered 's/^/observability | /'

matrix: lab-up ## Every way that Plane is run, one after the other, and one table of what each verified last
	$(MAKE) --no-print-directory test-molecule
	$(MAKE) --no-print-directory test-compose
	$(MAKE) --no-print-directory test-commercial
	$(MAKE) --no-print-directory test-swarm
	$(MAKE) --no-print-directory test-proxy
	@$(with_helpers) tools/matrix.py

test-lab: lab-up ## Bad input, failures, rollouts and another project, on the lab's staging hosts
	@tools/setup.sh plots
	@tools/setup.sh bench
	pytest tests/lab --verbose 2>&1 | sed --unbuffered 's/^/lab      | /'

# Not part of `make test`, for its time.
test-gate: setup ## The gate against a real Prometheus with four days of each scenario; not part of make test
	@tools/setup.sh plots
	@tools/setup.sh prometheus
	@tools/setup.sh load
	PATH=$$PATH:$(CURDIR)/build/prometheus/usr/bin pytest tests/gate --verbose

lint: setup ## ansible-lint (production), yamllint, ruff, mypy, shellcheck
	yamllint --strict .
	ruff check .
	ruff format --check .
	mypy
	@for folder in $(filter-out tests/callbacks/ tests/__pycache__/,$(wildcard tests/*/)) molecule/default; do (cd $$folder && mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache .); done
	shellcheck tools/*.sh lab/*.sh lab/containers/*.sh lab/containers/bin/*.sh .ci/run
	ansible-lint --offline

in_inventory = $(if $(INVENTORY),--inventory $(INVENTORY))

lab-up: setup ## Start the lab's hosts (idempotent); those of another inventory: INVENTORY=folder
	@python lab/lab.py up $(in_inventory)

lab-down: ## Remove the lab's hosts and network
	@tools/setup.sh venv
	@python lab/lab.py down $(in_inventory)

# They break hosts, so they have hosts of their own, which are gone afterwards unless a test failed.
mutants: lab-up ## Inject every fault into healthy hosts, and print which were caught by verification
	{ export ANSIBLE_INVENTORY=tests/mutation/inventory; python lab/lab.py up --inventory $$ANSIBLE_INVENTORY && \
	pytest tests/mutation --verbose && python lab/lab.py down --inventory $$ANSIBLE_INVENTORY; \
	} 2>&1 | sed --unbuffered 's/^/mutation | /'

chaos: staging ## Break what a host needs while it serves, and print what clients saw and what was lost; not part of make test
	pytest tests/chaos tests/lab -m 'fault or chaos' --verbose
	$(MAKE) --no-print-directory test-proxy PYTEST_ADDOPTS='-m fault'

zero-loss: staging ## Change hosts under clients that read, write and download; print what was lost
	$(with_helpers) tools/zero_loss.py $(ARGS)

size: ## What a process model takes, what fits and who waits, by the proposal's figures and by measured ones
	@tools/setup.sh venv
	@$(with_helpers) tools/size.py $(ARGS)

# Hosts whose memory is filled, one of each runtime; gone afterwards unless something failed.
with_hosts_to_fill = { export ANSIBLE_INVENTORY=tests/sizing/inventory; python lab/lab.py up --inventory $$ANSIBLE_INVENTORY && \
	ansible-playbook site.yml -l staging && ansible-playbook site.yml -l community && $(1) && \
	python lab/lab.py down --inventory $$ANSIBLE_INVENTORY; }

sizing-report: setup ## Predicted memory against what real processes take; limits just above and just below it
	@tools/setup.sh plots
	$(call with_hosts_to_fill,$(with_helpers) tools/sizing_report.py $(ARGS))

test-sizing: setup ## Limits of processors, memory and tasks, each reached, on systemd and on Docker Compose
	$(call with_hosts_to_fill,pytest tests/sizing --verbose)

calibrate: ## Measure what a host's release takes, for the calculator: make calibrate HOST=staging-api1 REQUESTS=file.json
	@tools/setup.sh venv
	ansible-playbook ansible/playbooks/calibrate.yml -l $(or $(HOST),staging-api1) -e calibration_requests=$(abspath $(or $(REQUESTS),lab/requests.json))

loadtest: ## Users that read, write, open pages at once and ask GraphQL: make loadtest ENV=staging
	@tools/setup.sh venv
	@tools/setup.sh load
	@PYTHONPATH=$(CURDIR)/ansible/module_utils:$(CURDIR)/tools build/load/bin/python tools/loadtest.py $(or $(ENV),staging) $(ARGS)

bake: ## Judge what an environment runs against what it ran before the switch: make bake ENV=staging
	@tools/setup.sh venv
	@tools/setup.sh plots
	@$(with_plots) tools/bake.py $(or $(ENV),staging) $(ARGS)

advise: ## Keep, or more threads, workers, hosts or memory, from metrics and the calculator: make advise ENV=staging
	@tools/setup.sh venv
	@$(with_helpers) tools/advise.py $(or $(ENV),staging) $(ARGS)

status: ## Every environment at a glance: what was promoted to it, its gate, what comes next
	@tools/setup.sh venv
	@$(with_helpers) tools/status.py $(ARGS)

bake-error-rates: ## How often the gate is wrong, over many made-up histories whose truth is known
	@tools/setup.sh venv
	@$(with_helpers) tools/bake_error_rates.py $(ARGS)

request-state: setup ## What a request finds of others, by mechanism and worker class; what request isolation costs
	@python tools/request_state

executor-profile: setup ## Where the time goes that a synchronous view takes longer under an event loop
	@python tools/executor_profile.py

# Hosts of their own, gone afterwards unless something failed.
with_hosts_to_measure = { export ANSIBLE_INVENTORY=tools/bench/inventory; \
	python lab/lab.py up --inventory $$ANSIBLE_INVENTORY && \
	$(with_helpers) $(1) && \
	python lab/lab.py down --inventory $$ANSIBLE_INVENTORY; }

# What was measured is kept, and the next run goes on.
bench: setup ## The proposal's claims side by side, with plots: build/bench/report.html; QUICK=1 for a first look
	@tools/setup.sh plots
	@tools/setup.sh bench
	$(call with_hosts_to_measure,-m bench $(if $(QUICK),--quick) $(ARGS))

bench-pooler: setup ## PgBouncer in transaction mode: throughput, connections, and what breaks; build/bench/pooler.json
	@tools/setup.sh bench
	$(call with_hosts_to_measure,tools/bench_pooler.py $(ARGS))

bench-converge: staging ## A no-op site.yml against gathering facts and pinging the same hosts with Ansible as it comes
	$(with_helpers) tools/bench_converge.py

bench-growth: setup ## The same for 1 to 16 hosts, of its own: what another host adds
	{ export ANSIBLE_INVENTORY=tools/growth; python lab/lab.py up --inventory $$ANSIBLE_INVENTORY && \
	ansible-playbook site.yml -l staging && $(with_helpers) tools/bench_converge.py --growth && \
	python lab/lab.py down --inventory $$ANSIBLE_INVENTORY; }

bench-admission: staging ## Small calls under 40 clients on the heavy route, with and without admission's routes
	$(with_helpers) tools/bench_admission.py

bench-queue: staging ## Queue time and slots in use under a known load, against Erlang's formula C
	$(with_helpers) tools/bench_queue.py $(ARGS)

bench-observability: lab-up ## What it costs a host to be watched: throughput side by side, and memory
	ANSIBLE_INVENTORY=tests/observability/inventory python lab/lab.py up --inventory tests/observability/inventory
	ANSIBLE_INVENTORY=tests/observability/inventory $(with_helpers) tools/bench_observability.py $(ARGS)

report: ## The dashboard's plots as one HTML page, of a Prometheus that watches: make report ARGS='--hours 48'
	@tools/setup.sh plots
	@$(with_plots) tools/observability_report.py $(ARGS)

dashboard: ## Write Grafana's dashboard, to be imported there: build/reports/dashboard.json
	@tools/setup.sh venv
	@python tools/dashboard.py

docs: ## The documentation as a site, build/docs/site; a link that leads nowhere is an error
	@tools/setup.sh venv
	@tools/setup.sh docs
	@python tools/documentation.py
	build/zensical/bin/zensical build --strict --clean
	@echo $(CURDIR)/build/docs/site/docs/index.html

lock: setup ## Write the hash-locked requirements again from the .in files
	pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --strip-extras --allow-unsafe --output-file requirements/controller.txt requirements/controller.in
	pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --strip-extras --allow-unsafe --output-file requirements/checkov.txt requirements/checkov.in
	pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --strip-extras --output-file requirements/plots.txt requirements/plots.in
	pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --strip-extras --output-file requirements/load.txt requirements/load.in
	pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --strip-extras --output-file requirements/docs.txt requirements/docs.in
	cd lab/application/requirements && for set in pins newest peers; do pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --strip-extras --output-file $$set.txt $$set.in; done

clean: ## Remove the lab, its images, the virtual environment and everything built
	@if [ -x .venv/bin/python ]; then .venv/bin/python lab/lab.py clean; fi
	rm -rf .venv build .lab .cache .pytest_cache .mypy_cache .ruff_cache .ansible
