//! Every tool of the real binary: what goes in, what comes out.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;

use support::{functions, link, run};
use tempfile::TempDir;

/// (command line, input, expected output). Words are split at blanks, `\s` in one stands for a blank.
const TABLE: &[(&str, &str, &str)] = &[
    ("cat", "a\nb", "a\nb"),
    ("cat -n", "a\nb\n", "     1\ta\n     2\tb\n"),
    ("rev", "abc\nhéllo\n", "cba\nolléh\n"),
    ("rev", "no end", "dne on"),
    ("tac", "1\n2\n3\n", "3\n2\n1\n"),
    ("head -n 2", "1\n2\n3\n", "1\n2\n"),
    ("head -2", "1\n2\n3\n", "1\n2\n"),
    ("head -n -1", "1\n2\n3\n", "1\n2\n"),
    ("head -c 3", "abcdef", "abc"),
    (
        "head",
        "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n",
        "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n",
    ),
    ("tail -n 2", "1\n2\n3\n", "2\n3\n"),
    ("tail -n +2", "1\n2\n3\n", "2\n3\n"),
    ("tail -c 2", "abcdef", "ef"),
    ("tail -c +3", "abcdef", "cdef"),
    ("tee", "abc", "abc"),
    ("nl", "a\n\nb\n", "     1\ta\n       \n     2\tb\n"),
    ("nl -b a", "a\n\n", "     1\ta\n     2\t\n"),
    ("wc", "one two\nthree\n", "      2       3      14\n"),
    ("wc -l", "one two\nthree\n", "2\n"),
    ("wc -w", "one two\nthree\n", "3\n"),
    ("wc -c", "é\n", "3\n"),
    ("wc -m", "é\n", "2\n"),
    ("sort", "b\nc\na", "a\nb\nc\n"),
    ("sort -r", "b\nc\na\n", "c\nb\na\n"),
    ("sort -n", "10\n9\n-1\nx\n", "-1\nx\n9\n10\n"),
    ("sort -u", "b\na\nb\n", "a\nb\n"),
    ("sort -f", "b\nA\nc\n", "A\nb\nc\n"),
    ("sort -k 2 -n", "a 10\nb 9\n", "b 9\na 10\n"),
    ("sort -t : -k 2,2", "1:c:a\n2:b:b\n", "2:b:b\n1:c:a\n"),
    ("uniq", "a\na\nb\na\n", "a\nb\na\n"),
    ("uniq -c", "a\na\nb\n", "      2 a\n      1 b\n"),
    ("uniq -d", "a\na\nb\n", "a\n"),
    ("uniq -u", "a\na\nb\n", "b\n"),
    ("uniq -i", "a\nA\nb\n", "a\nb\n"),
    ("cut -d , -f 2", "a,b,c\nnone\n", "b\nnone\n"),
    ("cut -d , -f 1,3-", "a,b,c,d\n", "a,c,d\n"),
    ("cut -s -d , -f 1", "a,b\nnone\n", "a\n"),
    ("cut -c 2-3", "héllo\n", "él\n"),
    ("cut -b 1", "abc\n", "a\n"),
    ("grep b", "abc\nxyz\n", "abc\n"),
    ("grep -v b", "abc\nxyz\n", "xyz\n"),
    ("grep -i B", "abc\n", "abc\n"),
    ("grep -n x", "abc\nxyz\n", "2:xyz\n"),
    ("grep -c b", "abc\nxyz\nb\n", "2\n"),
    ("grep -o [0-9]*", "a12b345\n", "12\n345\n"),
    ("grep -E ^(a|b)+$", "abba\nabc\n", "abba\n"),
    ("grep -F a.c", "abc\na.c\n", "a.c\n"),
    ("grep -w cat", "cat\nconcat\n", "cat\n"),
    ("grep -x cat", "cat\ncats\n", "cat\n"),
    ("grep -e a -e c", "a\nb\nc\n", "a\nc\n"),
    ("sed s/o/0/", "foo\n", "f0o\n"),
    ("sed s/o/0/g", "foo\n", "f00\n"),
    ("sed s/o/0/2", "foo\n", "fo0\n"),
    ("sed s/O/0/gi", "foo", "f00"),
    (r"sed s/\(a\)\(b\)/<\2\1&>/", "ab\n", "<baab>\n"),
    ("sed -E s/(a)(b)/\\2\\1/", "ab\n", "ba\n"),
    ("sed s,/,-,g", "a/b/c\n", "a-b-c\n"),
    ("sed /b/d", "a\nb\nc\n", "a\nc\n"),
    ("sed -n /b/p", "a\nb\nc\n", "b\n"),
    ("sed 2d", "a\nb\nc\n", "a\nc\n"),
    ("sed $d", "a\nb\nc\n", "a\nb\n"),
    ("sed -n 2,3p", "1\n2\n3\n4\n", "2\n3\n"),
    ("sed -n /b/,/c/p", "a\nb\nx\nc\nd\n", "b\nx\nc\n"),
    ("sed 2q", "1\n2\n3\n", "1\n2\n"),
    ("sed 1!d", "1\n2\n", "1\n"),
    ("sed s/a/b/;s/b/c/", "a\n", "c\n"),
    ("tr a-z A-Z", "hello ABC", "HELLO ABC"),
    ("tr [:lower:] [:upper:]", "hello", "HELLO"),
    ("tr -d aeiou", "hello", "hll"),
    ("tr -s l", "hello", "helo"),
    ("tr -cd 0-9", "a1b2", "12"),
    (r"tr \n ,", "a\nb\n", "a,b,"),
    ("tr abc x", "abcd", "xxxd"),
    ("base64", "hello", "aGVsbG8=\n"),
    ("base64 -d", "aGVs\nbG8=\n", "hello"),
    ("base64 -w 4", "hello", "aGVs\nbG8=\n"),
    ("base64 -w 0", "hello", "aGVsbG8="),
    ("md5sum", "hello", "5d41402abc4b2a76b9719d911017c592  -\n"),
    (
        "sha256sum",
        "hello",
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824  -\n",
    ),
    (
        "sha512sum",
        "hello",
        "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043  -\n",
    ),
    ("echo a b", "", "a b\n"),
    ("echo -n a", "", "a"),
    (r"echo -e a\tb\0101", "", "a\tbA\n"),
    (r"echo a\tb", "", "a\\tb\n"),
    (r"printf %s-%s\n a b c", "", "a-b\nc-\n"),
    (
        r"printf %05d|%-4s|%4s|%.2f|%x|%c|%%\n 42 ab cd 3.14159 255 xyz",
        "",
        "00042|ab  |  cd|3.14|ff|x|%\n",
    ),
    (r"printf %b a\nb", "", "a\nb"),
    (r"printf plain\n", "", "plain\n"),
    ("seq 3", "", "1\n2\n3\n"),
    ("seq 2 4", "", "2\n3\n4\n"),
    ("seq 5 -2 1", "", "5\n3\n1\n"),
    ("seq -1 1", "", "-1\n0\n1\n"),
    ("seq 0 0.1 0.3", "", "0.0\n0.1\n0.2\n0.3\n"),
    ("seq -w 9 11", "", "09\n10\n11\n"),
    ("seq -s , 3", "", "1,2,3\n"),
    ("seq 2 1", "", ""),
    ("date -u -d @0 +%Y-%m-%dT%H:%M:%S", "", "1970-01-01T00:00:00\n"),
    ("date -d @1783074667", "", "Fri Jul  3 10:31:07 UTC 2026\n"),
    ("date -d @0 -I", "", "1970-01-01\n"),
    ("date -d @0 +%s", "", "0\n"),
    ("env -i A=1 B=2", "", "A=1\nB=2\n"),
    ("env -i A=1 B=x=y A=2", "", "B=x=y\nA=2\n"),
    ("true", "ignored", ""),
    ("sleep 0", "", ""),
    ("uname", "", "Linux\n"),
    ("sh -c echo\\sa\\s|\\str\\sa\\sb", "", "b\n"),
    ("sh -c 'cat | rev'", "abc", "cba"),
    (
        "sh -c false\\s&&\\secho\\sno\\s||\\secho\\syes;\\secho\\send",
        "",
        "yes\nend\n",
    ),
    ("cat | rev | tr a-z A-Z", "hello", "OLLEH"),
    ("seq 10 | tac | head -n 3 | sort -n", "", "8\n9\n10\n"),
];

#[test]
fn every_tool_answers_as_the_table_says() {
    for (line, input, expected) in TABLE {
        let words: Vec<String> = line.split(' ').map(|word| word.replace("\\s", " ")).collect();
        let output = run(functions().args(&words), input.as_bytes());

        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            *expected,
            "{line}: {said}"
        );
        assert!(output.status.success(), "{line}: {:?} {said}", output.status);
    }
}

#[test]
fn the_table_leaves_no_tool_out() {
    let listed: serde_json::Value =
        serde_json::from_slice(&run(functions().args(["list", "--json"]), b"").stdout).unwrap();
    // Those that do not end, tell about this machine or fail are tested by name below.
    let elsewhere = ["false", "hostname", "printenv", "yes"];

    for tool in listed["tools"].as_array().unwrap() {
        let tool = tool.as_str().unwrap();
        let tested = TABLE
            .iter()
            .any(|(line, ..)| line.split(' ').next() == Some(tool));
        assert!(tested || elsewhere.contains(&tool), "{tool}");
    }
}

#[test]
fn tools_fail_with_the_status_and_a_word() {
    for (line, status, part) in [
        ("false", 1, ""),
        ("grep nothing", 1, ""),
        ("printenv NO_SUCH_VARIABLE", 1, ""),
        ("cat /no/such/file", 1, "/no/such/file: No such file"),
        ("head -n many", 2, "many"),
        ("head --frob", 2, "frob"),
        ("tr a", 2, "two sets"),
        ("grep -E (", 2, "("),
        ("sed s/a/b", 2, "missing"),
        ("sed y/a/b/", 2, "`y`"),
        ("base64 -d", 2, "not base64"),
        ("sleep soon", 2, "soon"),
        ("no-such-tool", 127, "no-such-tool: not found"),
        ("cat | no-such-tool | cat", 127, "no-such-tool: not found"),
        ("cat | | cat", 2, "empty"),
        ("true | false", 1, ""),
        ("run no-such-function", 2, "no-such-function"),
        ("list --yaml", 2, "--yaml"),
        ("sh -c echo\\s>\\sx", 2, "`>`"),
    ] {
        let words: Vec<String> = line.split(' ').map(|word| word.replace("\\s", " ")).collect();
        let output = run(functions().args(&words), b"*input*");

        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{line}: {said}");
        assert!(
            said.contains(part) && (part.is_empty() == said.is_empty()),
            "{line}: {said}"
        );
    }
}

#[test]
fn a_link_to_the_file_is_the_tool_of_its_name() {
    let folder = TempDir::new().unwrap();
    let tr = link(&folder, "tr");

    let output = run(
        std::process::Command::new(tr).args(["a-z", "A-Z", "|", "rev"]),
        b"abc",
    );

    assert_eq!(output.stdout, b"CBA");
}

#[test]
fn a_pipeline_finds_other_programs_in_the_path() {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("shout");
    fs::write(&program, "#!/bin/sh\ntr a-z A-Z\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());

    let output = run(
        functions()
            .args(["cat", "|", "shout", "|", "rev"])
            .env("PATH", path),
        b"abc",
    );

    assert_eq!(
        output.stdout,
        b"CBA",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_quoted_pipe_is_an_argument_and_no_pipe() {
    let output = run(functions().args(["sh", "-c", "echo 'a | b' | tr a c"]), b"");

    assert_eq!(output.stdout, b"c | b\n");
}

#[test]
fn five_megabytes_through_cat_rev_rev_come_back_intact() {
    let mut state = 0x2545_f491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    let body: Vec<u8> = (0..5 * 1024 * 1024).map(|_| next()).collect();

    let output = run(functions().args(["cat", "|", "rev", "|", "rev"]), &body);

    assert!(output.stdout == body);
}

#[test]
fn a_reader_that_has_enough_ends_the_pipeline_quietly() {
    let output = run(functions().args(["yes", "|", "head", "-n", "2"]), b"");

    assert_eq!(output.stdout, b"y\ny\n");
    assert!(output.status.success());
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn tee_keeps_a_copy() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("copy");
    for (option, expected) in [(None, "new"), (Some("-a"), "newnew")] {
        let output = run(functions().arg("tee").args(option).arg(&file), b"new");

        assert_eq!(output.stdout, b"new");
        assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    }
}

#[test]
fn files_are_read_in_their_order() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a"), "1\n").unwrap();
    fs::write(path("b"), "2\n").unwrap();

    let cat = run(
        functions().arg("cat").args([path("b"), "-".into(), path("a")]),
        b"in\n",
    );
    assert_eq!(cat.stdout, b"2\nin\n1\n");
    let grep = run(
        functions()
            .arg("grep")
            .arg("-c")
            .arg(".")
            .current_dir(folder.path())
            .args(["a", "b"]),
        b"",
    );
    assert_eq!(grep.stdout, b"a:1\nb:1\n");
    let wc = run(
        functions()
            .arg("wc")
            .arg("-l")
            .current_dir(folder.path())
            .args(["a", "b"]),
        b"",
    );
    assert_eq!(wc.stdout, b"      1 a\n      1 b\n      2 total\n");
}

#[test]
fn the_environment_is_printed_and_changed_for_a_command() {
    let printed = run(functions().arg("printenv").arg("KEPT").env("KEPT", "a b"), b"");
    assert_eq!(printed.stdout, b"a b\n");

    let shown = run(functions().arg("env").env_clear().env("Http_Method", "POST"), b"");
    assert_eq!(shown.stdout, b"Http_Method=POST\n");

    let command = [
        "env",
        "-u",
        "GONE",
        "SET=1",
        "/bin/sh",
        "-c",
        "echo ${GONE-unset} $SET",
    ];
    let changed = run(functions().args(command).env("GONE", "x"), b"");
    assert_eq!(changed.stdout, b"unset 1\n");
}

#[test]
fn the_name_of_the_machine_is_the_kernels() {
    let kernel = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();

    assert_eq!(
        String::from_utf8(run(functions().arg("hostname"), b"").stdout).unwrap(),
        kernel
    );
    assert_eq!(
        String::from_utf8(run(functions().args(["uname", "-n"]), b"").stdout).unwrap(),
        kernel
    );
}
