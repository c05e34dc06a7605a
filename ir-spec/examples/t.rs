use std::io::Read;
fn main(){ let mut s=String::new(); std::io::stdin().read_to_string(&mut s).unwrap();
 let (f,d)=tcc_ir::text::parse(&s, Default::default());
 for e in &d.0 { println!("{} {:?} {} {:?}", e.code, e.span.map(|s|s.range()), e.message, e.help); }
 let o=tcc_ir::text::format::format(&f,&s); println!("{o}");
 let (f2,d2)=tcc_ir::text::parse(&o, Default::default()); assert!(d2.0.len()==0 || d.0.len()>0,"{:?}",d2); let o2=tcc_ir::text::format::format(&f2,&o); assert_eq!(o,o2);
}
