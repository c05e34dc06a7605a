//! Random graph functions as text, in every form of statement, and random comments.

use fastrand::Rng;
use std::fmt::Write;

/// What a tensor of the text is: name and the size of each axis.
type Known = (String, Vec<char>);

struct Writer<'r> {
    rng: &'r mut Rng,
    /// Tensors of floats that may be read.
    floats: Vec<Known>,
    lines: Vec<String>,
    made: usize,
}

/// The index that runs over an axis.
fn index(size: char, second: bool) -> char {
    match (size, second) {
        ('N', false) => 'i',
        ('N', true) => 'p',
        ('M', false) => 'j',
        ('M', true) => 'q',
        (_, false) => 'k',
        (_, true) => 'r',
    }
}

/// A function as text; most are well formed.
pub fn function(rng: &mut Rng) -> String {
    let dtype = if rng.bool() { "f32" } else { "f64" };
    let facts = ["", " where N >= 2", " where N >= 1, M % 4 == 0, K <= 8*N", " where M in 1..64"];
    let facts = facts[rng.usize(..facts.len())];
    let floats = [("A", "NM"), ("B", "MK"), ("V", "N"), ("W", "M"), ("c", "")];
    let floats = floats.map(|(n, axes)| (n.to_owned(), axes.chars().collect())).to_vec();
    let mut w = Writer { rng, floats, lines: vec![], made: 0 };
    for _ in 0..1 + w.rng.usize(..5) {
        w.statement(dtype);
    }
    let value = w.value(&['N', 'M'], 2);
    w.lines.push(format!("Y[i,j] = {value}"));
    let mut out = format!(
        "fn f(A: {dtype}[N,M], param B: {dtype}[M,K], V: {dtype}[N], inout W: {dtype}[M], \
         c: {dtype}, I: i64[N], P: bool[N,N]) -> (Y: {dtype}[N,M]){facts} {{\n"
    );
    for line in &w.lines {
        let _ = writeln!(out, "    {line}");
    }
    out.push_str("}\n");
    out
}

impl Writer<'_> {
    fn name(&mut self) -> String {
        self.made += 1;
        format!("T{}", self.made)
    }

    fn axes(&mut self) -> Vec<char> {
        let all = ['N', 'M', 'K'];
        let n = 1 + self.rng.usize(..2);
        let first = self.rng.usize(..3);
        (0..n).map(|k| all[(first + k) % 3]).collect()
    }

    fn target(axes: &[char]) -> String {
        let list: Vec<String> = axes.iter().map(|a| index(*a, false).to_string()).collect();
        list.join(",")
    }

    fn statement(&mut self, dtype: &str) {
        let name = self.name();
        let axes = self.axes();
        let (target, types) = (Self::target(&axes), String::from_iter(axes.iter()));
        let dims: Vec<String> = types.chars().map(|c| c.to_string()).collect();
        let dims = dims.join(",");
        match self.rng.u8(..14) {
            0 | 1 => {
                let value = self.value(&axes, 3);
                if self.rng.bool() {
                    self.lines.push(format!("let {name}: {dtype}[{dims}]"));
                }
                self.lines.push(format!("{name}[{target}] = {value} @bcast"));
            }
            2 => {
                let op = ["+=", "max=", "min=", "prod=", "lse="][self.rng.usize(..5)];
                let value = self.value(&['N', 'M', 'K'], 1);
                let guard = if self.rng.bool() { " where i != j || k > 1" } else { "" };
                let value = format!("{value} + A[i,j] * B[j,k]");
                let inner: Vec<char> =
                    ['N', 'M', 'K'].into_iter().filter(|a| !axes.contains(a)).collect();
                let vars = Self::target(&inner);
                let value = match inner.is_empty() {
                    true => value,
                    false => format!("sum[{vars}]({value})"),
                };
                self.lines.push(format!("{name}[{target}] {op} {value}{guard}"));
            }
            3 => {
                self.lines.push(format!("{name}[i,k] = A[i,j] * B[j,k] * V[i]"));
                return self.floats.push((name, vec!['N', 'K']));
            }
            4 => {
                let tag = ["maxplus", "minplus", "log", "real"][self.rng.usize(..4)];
                self.lines.push(format!("{name}[i,k] =<{tag}> A[i,j] * B[j,k]"));
                return self.floats.push((name, vec!['N', 'K']));
            }
            5 => {
                let op = ["sum", "max", "mean", "prod", "min", "lse"][self.rng.usize(..6)];
                let body = self.value(&['N', 'M'], 2);
                let pred = ["", " | j != i", " | j >= 1 && i < j"][self.rng.usize(..3)];
                self.lines.push(format!("{name}[i] = 2 * {op}[j{pred}]({body}) - V[i] @bcast"));
                return self.floats.push((name, vec!['N']));
            }
            6 => {
                let op = ["softmax", "logsoftmax", "cumsum"][self.rng.usize(..3)];
                let body = self.value(&['N', 'M'], 2);
                self.lines.push(format!("{name}[i,j] = {op}[j]({body} + A[i,j])"));
                return self.floats.push((name, vec!['N', 'M']));
            }
            _ => return self.special(name, dtype),
        }
        self.floats.push((name, axes));
    }

    /// Recurrences, fixpoints, data-dependent subscripts, calls.
    fn special(&mut self, name: String, dtype: &str) {
        match self.rng.u8(7..14) {
            7 => {
                // A scan, forward or backward.
                self.lines.push(format!("let {name}: {dtype}[N + 1,M]"));
                let step = self.value(&['N', 'M'], 1);
                if self.rng.bool() {
                    self.lines.push(format!("{name}[0,j] = W[j]"));
                    self.lines.push(format!("{name}[i+1,j] = 0.5 * {name}[i,j] + {step}"));
                } else {
                    self.lines.push(format!("{name}[N,j] = W[j]"));
                    self.lines.push(format!("{name}[i,j] = c * {name}[i+1,j] + {step}"));
                }
                self.lines.push(format!("{name}x[i,j] = {name}[i+1,j]"));
                self.floats.push((format!("{name}x"), vec!['N', 'M']));
            }
            8 => {
                let head = ["fix", "fix(limit=10)"][self.rng.usize(..2)];
                self.lines.push(format!("let {name}: bool[N,N]"));
                self.lines.push(format!("{head} {{"));
                self.lines.push(format!("    {name}[i,p] or= P[i,p]"));
                self.lines.push(format!("    {name}[i,p] or= {name}[i,r] && P[r,p]"));
                self.lines.push("}".to_owned());
                self.lines.push(format!("{name}n[i] = sum[p]([{name}[i,p]] * V[p])"));
                self.floats.push((format!("{name}n"), vec!['N']));
            }
            9 => {
                self.lines.push(format!("let {name}: {dtype}[M]"));
                let drop = if self.rng.bool() { " @drop" } else { "" };
                self.lines.push(format!("{name}[I[i]] += V[i] * c{drop}"));
                self.floats.push((name, vec!['M']));
            }
            10 => {
                self.lines.push(format!("{name} = einsum(\"nm,mk->kn\", A, B)"));
                self.floats.push((name, vec!['K', 'N']));
            }
            11 => {
                let attribute =
                    ["@acc(f64)", "@tol(1e-3)", "@exact", "@reassociate", "@budget(4KiB)"];
                let attribute = attribute[self.rng.usize(..5)];
                self.lines.push(format!("{name}[i] = A[i,j] * W[j] {attribute}"));
                self.floats.push((name, vec!['N']));
            }
            12 => {
                self.lines.push(format!("{name} = relu(A)"));
                self.floats.push((name, vec!['N', 'M']));
            }
            _ => {
                self.lines.push(format!("{name}[i] = argmax[j](A[i,j])"));
                self.lines.push(format!("{name}g[i] = W[{name}[i]] + V[I[i]]?0"));
                self.floats.push((format!("{name}g"), vec!['N']));
            }
        }
    }

    /// A value over the indices of these axes.
    fn value(&mut self, axes: &[char], depth: usize) -> String {
        if depth == 0 {
            return self.leaf(axes);
        }
        let a = self.value(axes, depth - 1);
        let b = self.value(axes, depth - 1);
        match self.rng.u8(..12) {
            0 => format!("({a} + {b})"),
            1 => format!("({a} - {b})"),
            2 => format!("{a} * {b}"),
            3 => format!("({a}) / ({b})"),
            4 => format!("max({a}, {b})"),
            5 => format!("exp({a})"),
            6 => format!("select({a} > {b}, {a}, {b})"),
            7 => format!("-({a})"),
            8 => format!("abs({a}) + sqrt({b})"),
            9 => format!("({a})^2"),
            10 => format!("fma({a}, {b}, 1)"),
            _ => a,
        }
    }

    fn leaf(&mut self, axes: &[char]) -> String {
        let fitting: Vec<Known> = self
            .floats
            .iter()
            .filter(|(_, own)| own.iter().all(|a| axes.contains(a)))
            .cloned()
            .collect();
        let first = index(axes[0], false);
        match self.rng.u8(..8) {
            0 => ["0.5", "2", "1e-3", "inf", "0x1.8p1"][self.rng.usize(..5)].to_owned(),
            1 => format!("[{first} >= 1]"),
            2 => format!("({first} + 1) / {}", axes[0]),
            3 => format!("[{first} % 2 == 0 && {first} < {}/2]", axes[0]),
            _ if fitting.is_empty() => "c".to_owned(),
            _ => {
                let (name, own) = fitting[self.rng.usize(..fitting.len())].clone();
                if own.is_empty() {
                    return name;
                }
                let shift = ["", "", "", "-1", "+1"][self.rng.usize(..5)];
                let subs = Self::target(&own);
                let default = if shift.is_empty() { "" } else { "?0" };
                format!("{name}[{subs}{shift}]{default}")
            }
        }
    }
}

/// The text with comments and empty lines added between and behind its lines.
pub fn commented(rng: &mut Rng, text: &str) -> String {
    let mut out = String::new();
    for (n, line) in text.lines().enumerate() {
        if rng.u8(..6) == 0 {
            let _ = writeln!(out, "// before {n}");
        }
        if rng.u8(..8) == 0 {
            out.push('\n');
        }
        out.push_str(line);
        if rng.u8(..6) == 0 {
            let _ = write!(out, " // behind {n}");
        }
        out.push('\n');
    }
    out
}
