//! Adapters: the programs that know how one daemon is started.
//!
//! docs/faults.md has the whole protocol.

use crate::tally::Marks;
use crate::transport::Transport;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An adapter, and what it says of its daemon.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub program: PathBuf,
    pub daemon: Description,
}

/// The answer to `describe`.
#[derive(Debug, Clone)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub transports: Vec<Transport>,
    /// How it marks a line that it knows to be incomplete.
    pub marks: Marks,
    /// Whether it can be told how many connections to have at a time.
    pub limits_connections: bool,
    /// Whether it says how many datagrams were dropped.
    pub reports_drops: bool,
    /// What it is to be told at each start, as FAULTS_PROGRAM: where its program is, found once.
    pub program: Option<String>,
}

impl Adapter {
    /// Asks an adapter for its daemon. `name` is that of a file in `folder`, or a path.
    pub fn open(name: &str, folder: &Path) -> Result<Self, String> {
        let program = if name.contains('/') {
            PathBuf::from(name)
        } else {
            folder.join(name)
        };
        let program = program.canonicalize().map_err(|e| {
            format!(
                "open adapter {}: {e}; give the name of a file in {} or a path",
                program.display(),
                folder.display()
            )
        })?;
        let answer = ask(&program, &["describe"], BUILD)?;
        let daemon = Description::parse(&answer)
            .map_err(|e| format!("read the answer of {} describe: {e}", program.display()))?;
        Ok(Self { program, daemon })
    }

    /// The records that the daemon itself says were dropped. Asked after its end.
    pub fn drops(&self, work: &Path) -> Result<u64, String> {
        let answer = ask(&self.program, &["drops", &work.to_string_lossy()], ANSWER)?;
        let number = answer.trim().parse();
        number.map_err(|_| format!("{} drops: '{answer}' is no number", self.program.display()))
    }

    /// Has the daemon open its output anew.
    pub fn reopen(&self, pid: u32, work: &Path) -> Result<(), String> {
        let pid = pid.to_string();
        let args = ["reopen", &pid, &work.to_string_lossy()];
        ask(&self.program, &args, ANSWER).map(drop)
    }
}

/// Longest time for an answer, in seconds; and for the first one, which may build the daemon.
const ANSWER: &str = "20";
const BUILD: &str = "600";

/// Runs an adapter for an answer, at most for so many seconds.
fn ask(program: &Path, args: &[&str], seconds: &str) -> Result<String, String> {
    let failed = |reason: &str| format!("{} {}: {reason}", program.display(), args.join(" "));
    let output = Command::new("timeout")
        .arg(seconds)
        .arg(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| failed(&e.to_string()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(failed(&text(&output.stderr)))
    }
}

impl Description {
    fn parse(answer: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(answer).map_err(|e| e.to_string())?;
        let text = |key: &str| {
            let text = value[key].as_str().filter(|text| !text.is_empty());
            text.map(str::to_owned)
                .ok_or_else(|| format!("'{key}' is no text: say \"{key}\":\"...\""))
        };
        let texts = |key: &str| -> Result<Vec<String>, String> {
            let list = match &value[key] {
                Value::Null => return Ok(Vec::new()),
                list => list.as_array(),
            };
            let texts = list.and_then(|list| {
                let texts = list.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect()
            });
            texts.ok_or_else(|| format!("'{key}' is no list of texts: say \"{key}\":[\"...\"]"))
        };
        let flag = |key: &str| match &value[key] {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(*flag),
            _ => Err(format!("'{key}' is neither true nor false")),
        };
        let transports: Vec<Transport> = texts("transports")?
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, String>>()?;
        if transports.is_empty() {
            return Err("'transports' is empty: name at least one".to_owned());
        }
        Ok(Self {
            name: text("name")?,
            version: text("version")?,
            transports,
            marks: Marks(texts("marks")?),
            limits_connections: flag("limits_connections")?,
            reports_drops: flag("reports_drops")?,
            program: match &value["program"] {
                Value::Null => None,
                _ => Some(text("program")?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_answer_is_enough() {
        let answer = r#"{"name":"mine","version":"1.0","transports":["tcp","fifo"]}"#;
        let daemon = Description::parse(answer).unwrap();
        assert_eq!(daemon.name, "mine");
        assert_eq!(daemon.transports, [Transport::Tcp, Transport::Fifo]);
        assert!(!daemon.limits_connections && !daemon.reports_drops && daemon.marks.0.is_empty());
        assert_eq!(daemon.program, None);
    }

    #[test]
    fn a_whole_answer_is_read() {
        let answer = r#"{"name":"mine","version":"1","transports":["udp"],
            "marks":["cut"],"limits_connections":true,"reports_drops":true,"program":"/a \"b\""}"#;
        let daemon = Description::parse(answer).unwrap();
        assert!(daemon.limits_connections && daemon.reports_drops);
        assert_eq!(daemon.marks.0, ["cut"]);
        assert_eq!(daemon.program.as_deref(), Some("/a \"b\""));
    }

    #[test]
    fn a_wrong_answer_is_refused_with_advice() {
        for (answer, advice) in [
            ("", "EOF"),
            (r#"{"version":"1","transports":["udp"]}"#, "name"),
            (
                r#"{"name":"a","version":"1","transports":[]}"#,
                "at least one",
            ),
            (
                r#"{"name":"a","version":"1","transports":"udp"}"#,
                "transports",
            ),
            (
                r#"{"name":"a","version":"1","transports":["pipe"]}"#,
                "fifo",
            ),
            (
                r#"{"name":"a","version":"1","transports":["udp"],"reports_drops":1}"#,
                "reports_drops",
            ),
        ] {
            let error = Description::parse(answer).unwrap_err();
            assert!(error.contains(advice), "{answer}: {error}");
        }
    }

    #[test]
    fn an_adapter_that_fails_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let error = Adapter::open("nothing", folder.path()).unwrap_err();
        assert!(error.contains("nothing"), "{error}");
        let path = folder.path().join("broken");
        std::fs::write(
            &path,
            "#!/bin/sh\necho 'no daemon: install it' >&2; exit 3\n",
        )
        .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap();
        let error = Adapter::open("broken", folder.path()).unwrap_err();
        assert!(error.ends_with("no daemon: install it"), "{error}");
    }
}
