//! Readers that we did not write, in their usual loops, read every line of the output: as many records as there
//! are newlines.

use crate::harness::{Folder, Setup, Stopped, has_program, run, skip};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

/// A program that is given a file's path and prints how many objects it has read from its lines.
struct Reader {
    name: &'static str,
    command: &'static [&'static str],
    program: &'static str,
    /// Whether CI's machine has it.
    is_in_ci: bool,
}

const READERS: [Reader; 8] = [
    Reader {
        name: "python3, a file's lines",
        command: &["python3", "-c"],
        program: "import json, sys\n\
            rows = [json.loads(line) for line in open(sys.argv[1], encoding='utf-8')]\n\
            assert all(type(row) is dict for row in rows)\n\
            print(len(rows))",
        is_in_ci: true,
    },
    Reader {
        name: "python3, splitlines",
        command: &["python3", "-c"],
        program: "import json, sys\n\
            text = open(sys.argv[1], encoding='utf-8', newline='').read()\n\
            rows = [json.loads(line) for line in text.splitlines()]\n\
            assert all(type(row) is dict for row in rows)\n\
            print(len(rows))",
        is_in_ci: true,
    },
    Reader {
        name: "jq",
        command: &["sh", "-c"],
        program: "jq -e -c 'type == \"object\"' \"$0\" | grep -c true",
        is_in_ci: true,
    },
    Reader {
        name: "node, readline",
        command: &["node", "-e"],
        program: "let count = 0;\n\
            const input = require('fs').createReadStream(process.argv[1]);\n\
            const lines = require('readline').createInterface({ input, crlfDelay: Infinity });\n\
            lines.on('line', (line) => {\n\
              const row = JSON.parse(line);\n\
              if (row === null || typeof row !== 'object') throw new Error(line);\n\
              count += 1;\n\
            });\n\
            lines.on('close', () => console.log(count));",
        is_in_ci: true,
    },
    // Node's newer versions end a line at U+2028 and U+2029, too, as JavaScript itself does.
    Reader {
        name: "node, lines as JavaScript has them",
        command: &["node", "-e"],
        program: "const text = require('fs').readFileSync(process.argv[1], 'utf8');\n\
            const lines = text.split(/\\r\\n|[\\n\\r\\u2028\\u2029]/);\n\
            if (lines.pop() !== '') throw new Error('an unfinished line');\n\
            for (const line of lines) JSON.parse(line);\n\
            console.log(lines.length);",
        is_in_ci: true,
    },
    Reader {
        name: "ruby, each_line",
        command: &["ruby", "-rjson", "-e"],
        program: "count = 0\n\
            File.open(ARGV[0], 'r:UTF-8').each_line do |line|\n\
              raise line unless JSON.parse(line).is_a?(Hash)\n\
              count += 1\n\
            end\n\
            puts count",
        is_in_ci: true,
    },
    // Java's Scanner and BufferedReader end lines where these do.
    Reader {
        name: "python3, all that Unicode calls an end of a line",
        command: &["python3", "-c"],
        program: "import json, re, sys\n\
            text = open(sys.argv[1], encoding='utf-8', newline='').read()\n\
            lines = re.split('\\r\\n|[\\n\\v\\f\\r\\x85\\u2028\\u2029]', text)\n\
            assert lines.pop() == ''\n\
            print(len([json.loads(line) for line in lines]))",
        is_in_ci: true,
    },
    Reader {
        name: "go, bufio.Scanner",
        command: &["sh", "-c"],
        program: "cat >\"$0.go\" <<'END'\n\
            package main\n\
            import (\"bufio\"; \"encoding/json\"; \"fmt\"; \"os\")\n\
            func main() {\n\
              file, _ := os.Open(os.Args[1])\n\
              lines := bufio.NewScanner(file)\n\
              lines.Buffer(nil, 1 << 20)\n\
              count := 0\n\
              for lines.Scan() {\n\
                var row map[string]any\n\
                if err := json.Unmarshal(lines.Bytes(), &row); err != nil { panic(err) }\n\
                count++\n\
              }\n\
              if lines.Err() != nil { panic(lines.Err()) }\n\
              fmt.Println(count)\n\
            }\n\
            END\n\
            go run \"$0.go\" \"$0\"",
        is_in_ci: false,
    },
];

impl Reader {
    /// Which program has to be there.
    fn needs(&self) -> &'static str {
        match self.command[0] {
            "sh" => self
                .name
                .split_once(',')
                .map_or(self.name, |(name, _)| name),
            program => program,
        }
    }

    #[track_caller]
    fn check(&self, output: &Path, lines: usize) {
        let needs = self.needs();
        if !has_program(needs) {
            if self.is_in_ci {
                return skip(&format!("{needs} is not installed"));
            }
            let _ = writeln!(io::stderr(), "left out: {needs} is not installed");
            return;
        }
        let mut command = Command::new(self.command[0]);
        command
            .args(&self.command[1..])
            .arg(self.program)
            .arg(output);
        let read = run(&mut command);
        let errors = String::from_utf8_lossy(&read.stderr);
        let count = String::from_utf8_lossy(&read.stdout);
        assert_eq!(count, format!("{lines}\n"), "{}: {errors:.2000}", self.name);
    }
}

/// What readers stumble over, each within a line of its own and without its newline.
fn nasty_lines() -> Vec<Vec<u8>> {
    let nested = |levels: usize| {
        let inner = levels - 1;
        format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
    };
    let digits = |count: usize| "1".repeat(count);
    let mut lines: Vec<String> = [31, 32, 33, 64, 65, 100, 101, 127, 128, 400]
        .map(nested)
        .into();
    for number in [
        digits(308),
        digits(400),
        digits(5000),
        format!("0.{}", digits(999)),
        format!("0.{}", digits(1000)),
        format!("-0.{}e-10", digits(997)),
        format!("-0.{}e-10", digits(998)),
        format!("1e-{}", digits(999)),
        format!("1e-{}", digits(1000)),
        "1e999".to_owned(),
        "-0.0".to_owned(),
        "1E400".to_owned(),
        "NaN".to_owned(),
        "-Infinity".to_owned(),
    ] {
        lines.push(format!("{{\"a\":{number}}}"));
    }
    for bytes in [49_999, 50_000, 50_001] {
        lines.push(format!("{{\"{}\":1}}", "k".repeat(bytes)));
        lines.push(format!(
            "{{\"a\":[{{\"{}\":1}}]}}",
            "\u{e9}".repeat(bytes / 2)
        ));
    }
    for blanks in ["\r", "\r\r", " \r\t", "\t", "\r \r"] {
        lines.push(format!("{{\"a\":1,{blanks}\"b\":[2{blanks}]}}"));
        lines.push(format!("{{{blanks}}}"));
        lines.push(format!("text{blanks}and text"));
        lines.push(format!(
            "{blanks}{{\"a\"{blanks}:{blanks}1{blanks}}}{blanks}"
        ));
    }
    // All that is a control character, a blank, a mark or no character to somebody.
    let suspects = ('\0'..='\u{a0}')
        .chain('\u{2000}'..='\u{206f}')
        .chain([
            '\u{180e}', '\u{3000}', '\u{feff}', '\u{fffd}', '\u{fffe}', '\u{ffff}',
        ])
        .chain(['\u{fdd0}', '\u{e000}', '\u{1f600}', '\u{10ffff}']);
    for character in suspects.filter(|character| *character != '\n') {
        lines.push(format!("x{character}y{character}"));
        lines.push(format!("{{\"a{character}\":\"{character}{character}\"}}"));
        lines.push(format!(
            "{{\"same beginning\":1,\"{character}\":\"x{character}\"}}"
        ));
    }
    for object in [
        r#"{"a":"\ud83d\ude00"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\ud800\u0041"}"#,
        r#"{"\udfff":1}"#,
        r#"{"a":"\u0000\u2028\u0085\r\n"}"#,
        r#"{"__proto__":1,"constructor":2,"":3,"json_class":"String"}"#,
        r#"{"_x":1,"producer_x":2,"a":1,"a":2}"#,
        "\u{feff}{\"a\":1}",
        "{\"a\":1}{\"b\":2}",
        "\",\"x\":{\"",
    ] {
        lines.push(object.to_owned());
    }
    let mut lines: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
    lines.extend((128..=255).map(|byte| vec![b'x', byte, b'y']));
    lines.push(b"{\"a\":\"\xed\xa0\x80\"}".to_vec());
    lines.push(vec![0xff; 2000]);
    lines.push("\u{2028}".repeat(20_000).into());
    lines
}

#[track_caller]
fn check(folder: &Folder, stopped: &Stopped, sent: usize) {
    let output = folder.path("records.jsonl");
    let newlines = fs::read(&output)
        .unwrap()
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    assert_eq!((stopped.count("records"), newlines), (sent as u64, sent));
    for reader in READERS {
        reader.check(&output, sent);
    }
}

#[test]
fn each_reader_reads_every_line() {
    let lines = nasty_lines();
    for args in [&[][..], &["--stamp"]] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &["unixsock", "fifo"])
            .args(args)
            .start();
        daemon.connect("unixsock").send(lines.join(&b'\n'));
        daemon.wait_for_lines(lines.len());
        // Once more in pieces, so that nothing goes the fast way.
        let mut writer = daemon.connect("fifo");
        for chunk in lines.join(&b'\n').chunks(4000) {
            writer.send(chunk);
        }
        drop(writer);
        daemon.wait_for_lines(2 * lines.len());
        check(&folder, &daemon.stop(), 2 * lines.len());
    }
}
