use std::io::Read;
fn main(){ let mut s=String::new(); std::io::stdin().read_to_string(&mut s).unwrap();
 let mut src=tcc_ir::span::Sources::default();
 match tcc_ir::text::read_module(&mut src,"x",&s) {
  Err(d)=>{ for e in d.0.iter().take(20) { let lc=e.span.map(|s|src.line_column(s.source,s.start)); println!("{} {:?} {} | {:?} {:?}", e.code, lc, e.message, e.labels.iter().map(|l|(src.line_column(l.0.source,l.0.start),l.1.clone())).collect::<Vec<_>>(), e.help); } }
  Ok((m,w))=>{ match tcc_ir::graph::check(&m) { Err(d)=> for e in d.0.iter() { println!("V {} {} {:?} {:?}", e.code, e.message,e.notes,e.help); }, Ok(c)=>{ for e in &c.warnings.0 { println!("{} {}",e.code,e.message);} for (n,f) in &m.functions { for d in c.derived_facts(n) { println!("FACT {} | {} | unless {:?}", d.text(f), d.origin, d.unless_empty.len()); } } } }
 for e in w.0.iter().take(20) { println!("{} {} ", e.code, e.message); }
   let mut t=String::new(); for f in m.functions.values(){ t+=&tcc_ir::graph::print_function(f,&m);} println!("{t}");
   let mut src2=tcc_ir::span::Sources::default();
   match tcc_ir::text::read_module(&mut src2,"x",&t) { Err(d)=>println!("REPARSE FAIL {:?}",d), Ok((m2,_))=>{
     let mut t2=String::new(); for f in m2.functions.values(){ t2+=&tcc_ir::graph::print_function(f,&m2);} 
     if t2!=t { println!("TEXT DIFF\n{t2}"); } 
     for (k,f) in &m.functions { if Some(f)!=m2.functions.get(k) { println!("STRUCT DIFF {k}"); } }
   }}
  }}
}
