//! A kernel of some of another one's statements.

use tcc_ir::TensorId;
use tcc_ir::kernel::{Kernel, Stmt, visit_stmts};
use tcc_ir::scalar::Expr;

/// A kernel with the ids of the one that it is a piece of.
pub(super) struct Piece {
    pub(super) kernel: Kernel,
}

impl Piece {
    /// The piece with these statements: its arguments are those that they use.
    pub(super) fn new(whole: &Kernel, name: String, body: Vec<Stmt>) -> Piece {
        let mut used: Vec<TensorId> = Vec::new();
        let mut written: Vec<TensorId> = Vec::new();
        visit_stmts(&body, &mut |s| {
            let exprs = match s {
                Stmt::Block(b) => {
                    written.push(b.store.buffer);
                    b.exprs()
                }
                Stmt::If { condition, .. } => vec![condition],
                Stmt::Repeat(r) => vec![&r.until],
                Stmt::Intrin(c) => {
                    used.extend(c.params().map(|v| v.buffer));
                    written.extend(c.results().map(|v| v.buffer));
                    vec![]
                }
                Stmt::For(_) | Stmt::Let { .. } | Stmt::Alloc(_) => vec![],
            };
            for e in exprs {
                e.visit(&mut |x| match x {
                    Expr::Read(r) => used.push(r.tensor),
                    Expr::Contiguous(t) => used.push(*t),
                    _ => {}
                });
            }
        });
        let results = whole.arguments().filter(|t| written.contains(t)).collect();
        let read = |t: &TensorId| used.contains(t) && !written.contains(t);
        let params = whole.arguments().filter(read).collect();
        Piece { kernel: Kernel { name, body, params, results, ..whole.clone() } }
    }
}
