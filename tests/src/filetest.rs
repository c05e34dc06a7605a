//! Text cases: files whose first line is `// test: <command> [option=value ...]`.
//!
//! What follows is one or more sections: a text, then the expected output as lines that begin with
//! `//~`. Each section is a module of its own. With `TCC_BLESS=1` the expected lines are rewritten.
//!
//! | command | output |
//! |---|---|
//! | `parse` | the module as read |
//! | `roundtrip` | the module as read, after checking that the output reads back equal |
//! | `verify` | conditions that follow from the subscripts, warnings |
//! | `opt passes=a,b` | the module after these passes |
//! | `lower` | kernels and programs after the default passes, or after `passes=` |
//! | `schedule` | the module after its schedules |
//! | `fail` | the mistakes, by the first stage that finds any |
//! | `fmt` | the text in the house style |

use crate::programs::DEFAULT;
use std::collections::BTreeMap;
use std::path::Path;
use tcc_ir::diag::{Diagnostics, render_plain};
use tcc_ir::graph::{Module, check};
use tcc_ir::span::Sources;
use tcc_ir::text::{format::format, parse, print_module, read_module};
use tcc_passes::pipeline::{self, Pipeline};
use tcc_passes::schedule::apply_all;

/// The marker of expected output.
const EXPECT: &str = "//~";

/// The command line of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What to do.
    pub name: String,
    /// `name=value`
    pub options: BTreeMap<String, String>,
}

/// One text of a case with the output that it is to give.
struct Section {
    /// The text, below as many empty lines as stand before it in the file.
    text: String,
    /// Where its lines begin in the file.
    lines: std::ops::Range<usize>,
    expected: Vec<String>,
}

/// The command of a case; `None` if the text is none.
pub fn command(text: &str) -> Option<Command> {
    let line = text.lines().next()?.strip_prefix("// test:")?;
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    let options = words.filter_map(|w| w.split_once('='));
    let options = options.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Some(Command { name, options })
}

/// Runs a case; with `bless` the file is rewritten where the output differs.
pub fn run(path: &Path, bless: bool) -> Result<(), String> {
    let outcome = run_once(path, bless);
    // Places in later sections move with the lines that the first rewriting added.
    if bless { outcome.and_then(|()| run_once(path, bless)) } else { outcome }
}

fn run_once(path: &Path, bless: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let command = command(&text).ok_or("the first line is no `// test: <command>`")?;
    let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
    let lines: Vec<&str> = text.lines().collect();
    let mut blessed = String::new();
    let mut mistakes = Vec::new();
    let mut failures = Vec::new();
    for s in sections(&lines) {
        let output = execute(&command, &name, &s.text).unwrap_or_else(|e| {
            failures.push(format!(
                "{}: section of line {}: {e}",
                path.display(),
                s.lines.start + 1
            ));
            s.expected
                .iter()
                .map(|l| format!("{}\n", l.trim_start_matches("//~").trim_start()))
                .collect()
        });
        let got: Vec<String> = output.lines().map(expectation).collect();
        if got != s.expected {
            let (got, expected) = (got.join("\n"), s.expected.join("\n"));
            mistakes.push(format!(
                "{}: section of line {}: expected\n{expected}\ngot\n{got}",
                path.display(),
                s.lines.start + 1
            ));
        }
        let section = lines.get(s.lines.clone()).unwrap_or(&[]);
        let section = section.join("\n");
        blessed.push_str(section.trim_end());
        blessed.push('\n');
        got.iter().for_each(|line| blessed.push_str(&format!("{line}\n")));
    }
    if bless && !mistakes.is_empty() {
        std::fs::write(path, blessed).map_err(|e| e.to_string())?;
        mistakes.clear();
    }
    mistakes.extend(failures);
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes.join("\n")) }
}

fn expectation(line: &str) -> String {
    format!("{EXPECT} {line}").trim_end().to_owned()
}

fn sections(lines: &[&str]) -> Vec<Section> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let is_expected = |line: &&str| line.starts_with(EXPECT);
        let rest = lines.get(at..).unwrap_or(&[]);
        let length = rest.iter().position(is_expected).unwrap_or(rest.len());
        let (body, rest) = rest.split_at(length);
        let expected: Vec<String> =
            rest.iter().copied().take_while(is_expected).map(str::to_owned).collect();
        let next = at + length + expected.len();
        let blank = body.iter().all(|l| l.trim().is_empty());
        if !(blank && expected.is_empty()) {
            let text = format!("{}{}\n", "\n".repeat(at), body.join("\n"));
            out.push(Section { text, lines: at..at + length, expected });
        }
        at = next;
    }
    out
}

/// The output of a command.
fn execute(command: &Command, name: &str, text: &str) -> Result<String, String> {
    let mut sources = Sources::default();
    if command.name == "fmt" {
        return formatted(&mut sources, name, text);
    }
    if command.name == "fail" {
        return mistakes(&mut sources, name, text);
    }
    let (module, warnings) =
        read_module(&mut sources, name, text).map_err(|d| render_plain(&d, &sources))?;
    let rendered = |d: &Diagnostics| render_plain(d, &sources);
    match command.name.as_str() {
        "parse" => Ok(print_module(&module)),
        "roundtrip" => roundtrip(&module),
        "verify" => {
            let checked = check(&module).map_err(|d| rendered(&d))?;
            let mut out = rendered(&warnings);
            out.push_str(&rendered(&checked.warnings));
            for (name, f) in &module.functions {
                for fact in checked.derived_facts(name) {
                    out.push_str(&format!("{name}: {} ({})\n", fact.text(f), fact.origin));
                }
            }
            Ok(out)
        }
        "opt" => passed(&module, command, &rendered, &[]),
        "lower" => passed(&module, command, &rendered, DEFAULT),
        "schedule" => apply_all(&module).map(|m| print_module(&m)).map_err(|d| rendered(&d)),
        // The differential suite runs these programs.
        "agree" => Ok(String::new()),
        other => Err(format!("there is no command `{other}`")),
    }
}

fn roundtrip(module: &Module) -> Result<String, String> {
    let text = print_module(module);
    let mut sources = Sources::default();
    let (back, _) =
        read_module(&mut sources, "printed", &text).map_err(|d| render_plain(&d, &sources))?;
    let again = print_module(&back);
    if again != text {
        return Err(format!("reads back as\n{again}"));
    }
    let same = module.functions == back.functions
        && module.kernels == back.kernels
        && module.schedules == back.schedules
        && module.programs == back.programs;
    if same { Ok(text) } else { Err("reads back with another structure".to_owned()) }
}

fn passed(
    module: &Module,
    command: &Command,
    rendered: &dyn Fn(&Diagnostics) -> String,
    default: &[&str],
) -> Result<String, String> {
    let pipeline: Pipeline = match command.options.get("passes") {
        Some(passes) => passes.parse().map_err(|e| format!("{e}"))?,
        None => Pipeline::of(default).map_err(|e| format!("{e}"))?,
    };
    let target = command.options.get("target").map_or("x86_64-v3", String::as_str);
    let target = target.parse().map_err(|e| format!("{e}"))?;
    let checked = check(module).map_err(|d| rendered(&d))?;
    pipeline::run(&checked, &pipeline, &target, true, &mut |_| {})
        .map(|m| print_module(&m))
        .map_err(|failure| failure.reproducer())
}

fn mistakes(sources: &mut Sources, name: &str, text: &str) -> Result<String, String> {
    let found = match read_module(sources, name, text) {
        Err(d) => d,
        Ok((module, _)) => match check(&module).map(|_| apply_all(&module)) {
            Err(d) | Ok(Err(d)) => d,
            Ok(Ok(_)) => return Err("the text has no mistakes".to_owned()),
        },
    };
    Ok(render_plain(&found, sources))
}

fn formatted(sources: &mut Sources, name: &str, text: &str) -> Result<String, String> {
    let text = text.trim_start_matches('\n');
    let source = sources.add(name, text);
    let (file, mistakes) = parse(text, source);
    if mistakes.has_errors() {
        return Err(render_plain(&mistakes, sources));
    }
    Ok(format(&file, text))
}
