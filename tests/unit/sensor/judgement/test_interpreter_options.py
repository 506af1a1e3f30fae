"""The options of each interpreter, as its manual has them: what it runs and loads is found, and nothing else."""

from __future__ import annotations

import pytest

from sensor.judgement.interpreters import loaded_files, loaded_names, script

RUNS = """
bash -norc /tmp/x a
bash -noprofile -norc /tmp/x
bash -rcfile /etc/rc /tmp/x
bash -posix /tmp/x
bash --login -O extglob +O nullglob /tmp/x
bash -login /tmp/x
bash -euxo pipefail /tmp/x
dash -eo errexit /tmp/x
zsh -oerrexit /tmp/x
zsh -o errexit -f /tmp/x
zsh --emulate sh /tmp/x
ksh -oposix /tmp/x
mksh -o posix /tmp/x
yash --profile /etc/p /tmp/x
tcsh -Dname=value /tmp/x
fish --print-rusage-self /tmp/x
fish --profile-startup /dev/null /tmp/x
fish --debug-stack-frames 5 -P /tmp/x
fish --init true --no-config /tmp/x
python3 -Q new /tmp/x
pypy3 --jit off /tmp/x
python3 -OOBIsSEuvxbbPqd /tmp/x
perl -CSD -Mstrict -d:Trace -F: -i.bak -x/tmp -T /tmp/x
ruby -X /srv /tmp/x
ruby --parser prism --dump insns /tmp/x
ruby -Ku -T1 -W:no-deprecated --yjit /tmp/x
php -n -c /etc -z /usr/lib/a.so /tmp/x
php --php-ini /etc -F /tmp/x
lua -W -i -E -l json /tmp/x
luajit -O3 -jv -joff /tmp/x
node --max-http-header-size 65536 /tmp/x
node --cpu-prof --cpu-prof-dir /srv --cpu_prof_name n /tmp/x
node --trace-warnings --expose-gc --no-deprecation --harmony-x /tmp/x
node --inspect-port 9229 --title web --inspect /tmp/x.js
node inspect inspect
node --experimental-strip-types /tmp/x app.js
node --experimental-vm-modules /tmp/x src/a.test.js
node --test --test-only --allow-worker --warnings --node-snapshot --lite-mode /tmp/x a.js
node --experimental_sqlite --strip-types --experimental-default-type module /tmp/x a.js
deno run -N=example.com -R=/etc -W --allow-env /tmp/x
deno serve --port 8000 --host 0.0.0.0 /tmp/x.ts
deno run run
bun --config=b.toml --conditions dev --smol /tmp/x.ts
bun test --timeout 500 -t name /tmp/x.ts
dotnet exec --depsfile a.deps.json --runtimeconfig b.json /tmp/x.dll
dotnet --roll-forward Major --fx-version 9.0.0 /tmp/x.dll
dotnet fsi /tmp/x.fsx
gawk -b -f /tmp/x data
gawk -e BEGIN{} -f /tmp/x data
gawk --sourc BEGIN{} --fil /tmp/x
gawk -p -o -d -L -M -O -f /tmp/x
mawk -W exec /tmp/x data
mawk -Wi -f /tmp/x data
mawk -W interactive -f /tmp/x data
mawk -Wd -f /tmp/x data
mawk -Ws=100 -f /tmp/x data
mawk -W include -f /tmp/x data
mawk -Wl -f /tmp/x data
mawk -Wf -f /tmp/x data
mawk -We /tmp/x data
mawk -WEXEC /tmp/x data
mawk -We= /tmp/x data
mawk -Wi,e /tmp/x data
mawk -We,version /tmp/x data
mawk -Wusx,r=1,exec /tmp/x data
nawk -f /tmp/x data
tclsh -encoding utf-8 /tmp/x
wish -file /tmp/x
expect -D 1 -c exit -i -n -N -b /tmp/x
"""
LOADS = """
node --max-http-header-size 65536 -r /tmp/x app.js
node --cpu-prof-dir /tmp -r /tmp/x app.js
node --test --test-reporter spec --import /tmp/x
node --test-reporter /tmp/x --test app.js
node --test-global-setup /tmp/x --test
node --snapshot-blob /tmp/x app.js
node --trace_event_categories v8 --import /tmp/x app.js
node --env-file .env --watch-path ./src --loader /tmp/x app.js
node --experimental-vm-modules --require /tmp/x app.js
bun test --timeout 500 -r /tmp/x
bun --filter web run --import /tmp/x app.ts
bun test --coverage --seed 5 --preload /tmp/x
deno serve --port 8000 --preload /tmp/x app.ts
deno run -R=/etc --ext ts --import /tmp/x app.ts
deno repl --eval-file /tmp/x
deno test --filter a --junit-path b --require /tmp/x
gawk --source BEGIN{} -i /tmp/x
gawk --sourc BEGIN{} --inc /tmp/x
gawk -W source=BEGIN{} -W include=/tmp/x
gawk -e BEGIN{} -l /tmp/x
gawk -bi /tmp/x BEGIN{}
mawk -Wi -f /tmp/x data
mawk -Wi,e /tmp/x data
mawk -We=/tmp/x data
mawk -f app.awk -f /tmp/x data
gawk -E /tmp/x -i /data/own
php -B 1; -F /tmp/x
php -B 1; -R 1; -d auto_append_file=/tmp/x
php --process-begin 1; -d opcache.preload=/tmp/x -f app.php
ruby -X /srv -r/tmp/x app.rb
ruby --parser prism -r /tmp/x app.rb
java --enable-native-access ALL -javaagent:/tmp/x Main
"""
UNCERTAIN = """
node --new-option 5 -r /tmp/x app.js
node --new-option 5 --new-other 6 --import /tmp/x app.js
deno run --new-option a --preload /tmp/x app.ts
bun --new-option a -r /tmp/x app.ts
"""
OWN = """
node --experimental-vm-modules jest -r /data/x
bash -c true -rcfile /data/x
node --no-warnings app.js -r /data/x
node --expose-gc --trace-gc app.js --import /data/x
node --new-option=5 app.js --import /data/x
node --inspect=0.0.0.0:9229 app.js --test-reporter /data/x
node --test-reporter spec app.js --import /data/x
deno run --allow-read app.ts --preload /data/x
deno serve --port 80 app.ts --import /data/x
bun --smol run app.ts -r /data/x
bun --port 80 app.ts --preload /data/x
gawk --source BEGIN{} data -i /data/x
gawk -W exec app.awk -i /data/x
gawk -E app.awk --include /data/x
mawk -We app.awk -f /data/x
mawk -Wi,e app.awk -f /data/x
mawk {print} -f /data/x
php -B 1; -R 1; a -F /data/x
ruby --parser prism app.rb -r /data/x
python3 app.py -c /data/x
java -XX:+UseG1GC -Xms1g Main -javaagent:/data/x
"""


def words(line: str) -> tuple[bytes, list[bytes]]:
    argv = line.encode().split(b" ")
    return b"/usr/bin/" + argv[0], argv


def lines(text: str) -> list[str]:
    return text.strip().split("\n")


@pytest.mark.parametrize("line", lines(RUNS))
def test_what_is_run_is_found_behind_every_option(line: str) -> None:
    program, argv = words(line)
    (names,) = script(program, argv).files
    assert names[0] == next((word for word in argv if word.startswith(b"/tmp/x")), argv[-1])


@pytest.mark.parametrize("line", lines(LOADS))
def test_what_is_loaded_is_found_behind_every_option(line: str) -> None:
    found = [names[0] for names in loaded_names(*words(line))]
    assert b"/tmp/x" in found
    assert b"/data/own" not in found


@pytest.mark.parametrize("line", lines(UNCERTAIN))
def test_behind_an_option_that_is_not_known_what_is_loaded_is_found_too(line: str) -> None:
    program, argv = words(line)
    (found,) = loaded_files(program, argv)
    assert found.names[0] == b"/tmp/x"
    assert argv[argv.index(b"--new-option") + 1] in found.behind
    run = script(program, argv)
    assert run.files[0][0] == argv[-1]
    assert argv[argv.index(b"--new-option") + 1] in [names[0] for names in run.files]
    assert run.may_be_absent


@pytest.mark.parametrize(
    "line",
    [
        "node --new-option /tmp/x app.js",
        "node --new-option app.js /tmp/x",
        "node --new-option 5 --new-other /tmp/x app.js a",
        "dotnet --new-option /tmp/x app.dll",
        "dotnet exec --new-option /tmp/x app.dll",
        "dotnet --new-option /tmp/x build",
        "deno run --new-option /tmp/x app.ts",
        "deno --new-option run /tmp/x",
        "bun --new-option /tmp/x run app.ts",
        "bun run --new-option /tmp/x -- app.ts",
    ],
)
def test_a_program_behind_an_option_that_is_not_known_is_found_whatever_else_is_named(line: str) -> None:
    run = script(*words(line))
    assert b"/tmp/x" in [names[0] for names in run.files]
    assert run.may_be_absent


def test_of_many_options_that_are_not_known_each_value_is_looked_for_and_the_script_first() -> None:
    argv = [b"node", *[b"--new-option", b"5"] * 400, *[b"-r", b"/tmp/x"] * 400, b"app.js"]
    assert [names[0] for names in script(b"/usr/bin/node", argv).files] == [b"app.js", b"5"]
    many = [word for at in range(400) for word in (b"--new-option", b"%d" % at)]
    found = [names[0] for names in script(b"/usr/bin/node", [b"node", *many, b"app.js"]).files]
    assert found == [b"app.js", *(b"%d" % at for at in range(400))]
    loaded = list(loaded_files(b"/usr/bin/node", argv))
    assert len(loaded) == 400
    assert max(len(each.behind) for each in loaded) <= 8 * len(loaded[0].names)


@pytest.mark.parametrize("line", lines(OWN))
def test_arguments_of_the_program_are_not_read_as_options(line: str) -> None:
    found = [name for each in loaded_files(*words(line)) for name in each.names]
    assert not any(name.startswith(b"/data/") for name in found)


@pytest.mark.parametrize("line", ["bun run build", "bun dev", "deno test tests", "dotnet ef update", "node --new a"])
def test_a_command_or_value_that_is_no_file_may_be_absent(line: str) -> None:
    assert script(*words(line)).may_be_absent


@pytest.mark.parametrize(
    "line", ["dotnet build x.dll", "deno check x.ts", "bun build x.ts", "bash -norc -c /tmp/x", "mawk -Wv,e x"]
)
def test_a_command_that_runs_no_file_names_none(line: str) -> None:
    assert script(*words(line)).files == ()
