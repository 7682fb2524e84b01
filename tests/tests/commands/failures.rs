//! What is said, and with which exit code, where a command cannot do what it was asked to.

use serde_json::json;

use crate::operator::{Operator, two_nodes};

#[test]
fn every_failure_has_words_with_the_cure_and_its_exit_code() {
    let demo = two_nodes();
    demo.deploy(json!({"service": "figlet", "image": "bramble/figlet:latest"}));
    let operator = Operator::new();
    let (portal, password) = (&demo.portal, &demo.password);
    operator.file(
        "bad.yaml",
        "provider:\n  name: openfaas\nfunctions:\n  a:\n    image: x\n   b: y\n",
    );
    operator.file(
        "open.yaml",
        "provider:\n  name: openfaas\nfunctions:\n  a:\n    image: ${x\n",
    );
    operator.file(
        "none.yaml",
        "provider:\n  name: openfaas\nfunctions:\n  a:\n    lang: go\n",
    );

    // Before anybody is signed in.
    let rows: &[(&str, i32, &str)] = &[
        ("nodes -g GATEWAY", 4, "run `bramble login -g http://127.0.0.1:"),
        ("functions -g GATEWAY", 4, "Nobody is signed in"),
        ("deploy -g GATEWAY --image x --name y", 4, "bramble login"),
        (
            "invoke figlt -g GATEWAY --body x",
            5,
            "There is no function figlt",
        ),
        ("login -g GATEWAY", 2, "--password-stdin"),
        (
            "login -g GATEWAY --password wrong",
            4,
            "does not know this user with this password",
        ),
        ("login -g GATEWAY --password wrong", 4, "can be read by others"),
        ("nodes -g http://127.0.0.1:1", 3, "Is the Pi on"),
        ("nodes -g http://nowhere.invalid", 3, "Is the name right?"),
        ("nodes -g ftp://x", 2, "has to begin with http"),
        ("nodes --nonsense", 2, "unexpected argument"),
        ("fly", 2, "unrecognized subcommand"),
    ];
    let check = |rows: &[(&str, i32, &str)]| {
        for (line, code, words) in rows {
            let line = line.replace("GATEWAY", portal);
            let done = operator.does(&line);
            assert_eq!(done.code, *code, "bramble {line}: {done:?}");
            assert!(done.err.contains(words), "bramble {line}: {done:?}");
            assert!(!done.err.contains(password.as_str()), "{done:?}");
        }
    };
    check(rows);

    operator.logs_in(&demo);
    check(&[
        ("describe figlte", 5, "Did you mean figlet?"),
        ("why figlte", 5, "Did you mean figlet?"),
        ("scale figlte 2", 5, "Did you mean figlet?"),
        ("remove figlte", 5, "Did you mean figlet?"),
        ("logs figlte --tail=false", 5, "Did you mean figlet?"),
        ("invoke figlte --body x", 5, "Did you mean figlet?"),
        ("describe other", 5, "`bramble functions` lists"),
        ("describe 'no name'", 2, "cannot be a function"),
        ("invoke figlet --async --body x", 1, "--async"),
        ("invoke figlet --file missing", 5, "no file missing"),
        ("invoke figlet -H nonsense --body x", 2, "Name: value"),
        ("invoke figlet -m 'NO METHOD'", 2, "no method"),
        ("deploy", 2, "There is no stack.yaml here"),
        ("deploy -f missing.yaml", 5, "no file missing.yaml"),
        ("deploy -f bad.yaml", 2, "line 6"),
        ("deploy -f open.yaml", 2, "line 5"),
        ("deploy -f none.yaml", 2, "a has no image"),
        ("deploy -f none.yaml --filter z*", 5, "it has a"),
        ("deploy -f none.yaml --filter a --regex a", 2, "not both"),
        ("deploy -f GATEWAY/nothing.yaml", 5, "nothing at"),
        ("deploy --image x", 2, "--name"),
        (
            "deploy --image bramble/env:latest --name x --memory-limit lots",
            1,
            "limits.memory",
        ),
        (
            "deploy --image bramble/env:latest --name x -e novalue",
            2,
            "NAME=VALUE",
        ),
        (
            "deploy --image bramble/env:latest --name x --secret nobody-made-it",
            1,
            "nobody-made-it",
        ),
        (
            "deploy --image bramble/figlet:latest --name figlet --update=false",
            1,
            "figlet",
        ),
        (
            "deploy --image bramble/env:latest --name big --memory-request 900Gi --wait --timeout 2",
            1,
            "big is not ready",
        ),
        ("logs figlet --since soon", 2, "30s, 5m or 1h"),
        ("store inspect figlte", 5, "Did you mean figlet?"),
        ("store deploy nothing-like-it", 5, "`bramble store list`"),
        ("store deploy figlet --platform s390x", 5, "not for s390x"),
        ("store list --url GATEWAY/healthz", 1, "no store"),
        (
            "secret update nobody-made-it --from-literal x",
            5,
            "no secret nobody-made-it",
        ),
        ("secret remove nobody-made-it", 5, "no secret nobody-made-it"),
        ("secret create big/name --from-literal x", 1, "name"),
    ]);
    let created = operator.does("secret create twice --from-literal x");
    assert!(
        created.code == 0 && created.err.contains("can be read by others"),
        "{created:?}"
    );
    check(&[("secret create twice --from-literal x", 1, "twice")]);

    // What a function answers is its own affair: printed, and said by the exit code.
    let answer = operator.type_in(
        &[
            "deploy",
            "--image",
            "bramble/sh:latest",
            "--name",
            "fails",
            "--fprocess",
            "exit 1",
            "--wait",
        ],
        "",
    );
    assert_eq!(answer.code, 0, "{answer:?}");
    let done = operator.does("invoke fails --body x");
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("fails answered 500"), "{done:?}");

    // A demo with another password: what was saved is no longer right.
    let file = operator.home.path().join("logins/config.yml");
    let saved = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, saved.replace("token: ", "token: eDp5 # ")).unwrap();
    check(&[("nodes", 4, "no longer takes the saved sign-in")]);
}
