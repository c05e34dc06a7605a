//! Makes a failing case smaller.

use crate::generate::{Case, Kind, Param};

/// The smallest case that `fails`, found greedily within a number of trials.
pub fn shrink(case: &Case, mut trials: usize, fails: &mut dyn FnMut(&Case) -> bool) -> Case {
    let mut best = case.clone();
    loop {
        let candidates = smaller(&best);
        let mut found = false;
        for c in candidates {
            if trials == 0 {
                return best;
            }
            trials -= 1;
            if fails(&c) {
                best = c;
                found = true;
                break;
            }
        }
        if !found {
            return best;
        }
    }
}

/// Cases with one thing less.
fn smaller(case: &Case) -> Vec<Case> {
    let mut out = Vec::new();
    if case.sizes.len() > 1 {
        for s in &case.sizes {
            out.push(Case { sizes: vec![s.clone()], ..case.clone() });
        }
    }
    for k in 0..case.groups.len() {
        out.extend(without_group(case, k));
    }
    for k in 0..case.helpers.len() {
        let mut c = case.clone();
        c.helpers.remove(k);
        out.push(c);
    }
    for k in 0..case.results.len() {
        let mut c = case.clone();
        c.results.remove(k);
        out.push(c);
    }
    for k in 0..case.groups.len() {
        for line in 0..case.groups[k].lines.len() {
            let mut c = case.clone();
            c.groups[k].lines.remove(line);
            out.push(c);
            out.extend(case.groups[k].lines.get(line).into_iter().flat_map(|text| {
                simpler(text).into_iter().map(|t| {
                    let mut c = case.clone();
                    c.groups[k].lines[line] = t;
                    c
                })
            }));
        }
    }
    for (k, sizes) in case.sizes.iter().enumerate() {
        for (name, value) in sizes {
            for less in [1, 2, value / 2, value - 1] {
                if less >= 1 && less < *value {
                    let mut c = case.clone();
                    c.sizes[k].insert(name.clone(), less);
                    out.push(c);
                }
            }
        }
    }
    for c in &mut out {
        c.drop_unused_params();
    }
    out.retain(|c| c != case && !c.groups.is_empty() && c.is_alive());
    out
}

/// Without a group; what other groups read of it becomes inputs.
fn without_group(case: &Case, k: usize) -> Option<Case> {
    let mut c = case.clone();
    let gone = c.groups.remove(k);
    c.params.retain(|p| gone.updates.as_ref() != Some(&p.decl.name));
    for d in gone.defines {
        c.results.retain(|r| *r != d.name);
        if c.groups.iter().flat_map(|g| &g.lines).any(|l| Case::mentions(l, &d.name)) {
            c.params.push(Param { modifier: "", decl: d, kind: Kind::Any });
        }
    }
    (!c.results.is_empty() || c.groups.iter().any(|g| g.updates.is_some())).then_some(c)
}

/// The line with one parenthesis replaced by an operand or argument of it.
fn simpler(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let opens = line.char_indices().filter(|(_, c)| *c == '(').map(|(at, _)| at);
    for open in opens {
        let Some(close) = matching(line, open) else { continue };
        let inner = line.get(open + 1..close).unwrap_or("");
        let start = line
            .get(..open)
            .and_then(|t| t.rfind(|c: char| !c.is_alphanumeric() && c != '_'))
            .map_or(0, |at| at + 1);
        let (before, after) =
            (line.get(..start).unwrap_or(""), line.get(close + 1..).unwrap_or(""));
        for operand in operands(inner) {
            out.push(format!("{before}{operand}{after}"));
        }
    }
    if let Some((before, _)) = line.split_once(" where ") {
        out.push(before.to_owned());
    }
    out.sort_by_key(String::len);
    out.dedup();
    out
}

fn matching(line: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in line.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Operands of a binary operator, or arguments, of the text between two parentheses.
fn operands(inner: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut depth = 0;
    for word in inner.split_inclusive([' ', ',']) {
        depth += word.matches(['(', '[']).count() as i64 - word.matches([')', ']']).count() as i64;
        let bare = word.trim_end_matches([' ', ',']);
        let operator = depth == 0
            && matches!(
                bare,
                "+" | "-" | "*" | "/" | "%" | "&&" | "||" | "<" | "<=" | ">" | ">=" | "==" | "!="
            );
        if operator {
            out.push(String::new());
        } else if let Some(last) = out.last_mut() {
            last.push_str(word);
            if depth == 0 && word.ends_with(',') {
                *last = last.trim_end_matches(',').to_owned();
                out.push(String::new());
            }
        }
    }
    out.into_iter().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}
