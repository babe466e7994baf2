//! The same messages to PostgreSQL 18 and to this server, with the same answers: `tests/data/transcripts.txt`.
//!
//! A section starts with `## title` and has a connection of its own; all share a database. Each line is a message:
//!
//! ```text
//! Query sql
//! Parse name|parameter type OIDs|sql
//! Bind portal|statement|parameter formats|parameters|result formats     (\N is NULL, 0x… bytes, lists have commas)
//! Describe S name · Describe P name · Close S name · Close P name · Execute portal|rows · Flush · Sync
//! CopyData text · CopyDone · CopyFail reason
//! ```

use bytes::{Buf, BufMut, BytesMut};

use crate::support::postgres::Postgres;
use crate::support::{Client, PASSWORD, Server, put_string};

const TRANSCRIPTS: &str = include_str!("../data/transcripts.txt");

#[tokio::test(flavor = "multi_thread")]
async fn both_servers_answer_alike() {
    let postgres = Postgres::start().await;
    postgres.new_database().await;
    let server = Server::start().await;
    let mut different = Vec::new();
    let mut count = 0;
    for section in TRANSCRIPTS.split("\n## ").skip(1) {
        let (title, messages) = section.split_once('\n').unwrap();
        let messages: Vec<&str> = messages.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let theirs = transcript(postgres.address, &messages).await;
        let own = transcript(server.address, &messages).await;
        count += 1;
        if theirs != own {
            let indented = |text: &str| text.lines().collect::<Vec<_>>().join("\n    ");
            let (theirs, own) = (indented(&theirs), indented(&own));
            different.push(format!("## {title}\n  PostgreSQL:\n    {theirs}\n  this server:\n    {own}\n"));
        }
    }
    assert!(count > 0);
    assert!(different.is_empty(), "\n{}", different.concat());
}

/// What a server answers, a line for each message.
async fn transcript(address: std::net::SocketAddr, messages: &[&str]) -> String {
    let mut client = Client::connect(address, "boathouse", PASSWORD).await.unwrap();
    let mut ready = 0;
    for message in messages {
        let (kind, body) = encode(message);
        ready += usize::from(matches!(kind, b'Q' | b'S'));
        client.send(kind, &body).await;
    }
    let mut shown = String::new();
    while ready > 0 {
        let Ok((kind, body)) = client.receive().await else {
            return shown + "closed\n";
        };
        ready -= usize::from(kind == b'Z');
        shown += &show(kind, body);
        shown.push('\n');
    }
    // How a server cuts its output is its own affair.
    shown.replace("\nCopyData ", "")
}

fn encode(message: &str) -> (u8, BytesMut) {
    let (word, rest) = message.split_once(' ').unwrap_or((message, ""));
    let parts: Vec<&str> = rest.split('|').collect();
    let mut body = BytesMut::new();
    let kind = match word {
        "Query" => {
            put_string(&mut body, &unescape(rest));
            b'Q'
        }
        "Parse" => {
            let [name, types, sql] = rest.splitn(3, '|').collect::<Vec<_>>().try_into().unwrap();
            put_string(&mut body, name);
            put_string(&mut body, &unescape(sql));
            let types = items(types);
            body.put_i16(types.len() as i16);
            for oid in types {
                body.put_i32(oid.parse().unwrap());
            }
            b'P'
        }
        "Bind" => {
            let [portal, statement, formats, values, results] = parts.try_into().unwrap();
            put_string(&mut body, portal);
            put_string(&mut body, statement);
            put_formats(&mut body, formats);
            let values = items(values);
            body.put_i16(values.len() as i16);
            for value in values {
                let bytes = match value.strip_prefix("0x") {
                    Some(hex) => unhex(hex),
                    None => unescape(value).into_bytes(),
                };
                if value == "\\N" {
                    body.put_i32(-1);
                } else {
                    body.put_i32(bytes.len() as i32);
                    body.extend_from_slice(&bytes);
                }
            }
            put_formats(&mut body, results);
            b'B'
        }
        "Describe" | "Close" => {
            let (what, name) = rest.split_once(' ').unwrap_or((rest, ""));
            body.extend_from_slice(what.as_bytes());
            put_string(&mut body, name);
            if word == "Describe" { b'D' } else { b'C' }
        }
        "Execute" => {
            let [portal, rows] = parts.try_into().unwrap();
            put_string(&mut body, portal);
            body.put_i32(rows.parse().unwrap());
            b'E'
        }
        "Flush" => b'H',
        "Sync" => b'S',
        "CopyData" => {
            body.extend_from_slice(unescape(rest).as_bytes());
            b'd'
        }
        "CopyDone" => b'c',
        "CopyFail" => {
            put_string(&mut body, rest);
            b'f'
        }
        other => panic!("no message is called {other}"),
    };
    (kind, body)
}

fn items(list: &str) -> Vec<&str> {
    if list.is_empty() { vec![] } else { list.split(',').collect() }
}

fn put_formats(body: &mut BytesMut, formats: &str) {
    let formats = items(formats);
    body.put_i16(formats.len() as i16);
    for format in formats {
        body.put_i16(format.parse().unwrap());
    }
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn show(kind: u8, mut body: BytesMut) -> String {
    match kind {
        b'1' => "ParseComplete".to_owned(),
        b'2' => "BindComplete".to_owned(),
        b'3' => "CloseComplete".to_owned(),
        b'n' => "NoData".to_owned(),
        b's' => "PortalSuspended".to_owned(),
        b'I' => "EmptyQueryResponse".to_owned(),
        b'c' => "CopyDone".to_owned(),
        b'd' => format!("CopyData {}", bytes(&body)),
        b'C' => format!("CommandComplete {}", strings(&body).join(" ")),
        b'S' => format!("ParameterStatus {}", strings(&body).join("=")),
        b'Z' => format!("ReadyForQuery {}", char::from(body[0])),
        b'E' => format!("ErrorResponse {}", report(&body)),
        b'N' => format!("NoticeResponse {}", report(&body)),
        b'G' | b'H' => {
            let overall = body.get_u8();
            let formats: Vec<String> = (0..body.get_i16()).map(|_| body.get_i16().to_string()).collect();
            let name = if kind == b'G' { "CopyInResponse" } else { "CopyOutResponse" };
            format!("{name} {overall} [{}]", formats.join(", "))
        }
        b't' => {
            let types: Vec<String> = (0..body.get_i16()).map(|_| body.get_i32().to_string()).collect();
            format!("ParameterDescription [{}]", types.join(", "))
        }
        b'D' => {
            let value = |body: &mut BytesMut| match usize::try_from(body.get_i32()) {
                Ok(length) => bytes(&body.split_to(length)),
                Err(_) => "NULL".to_owned(),
            };
            let values: Vec<String> = (0..body.get_i16()).map(|_| value(&mut body)).collect();
            format!("DataRow ({})", values.join(", "))
        }
        b'T' => {
            let count = body.get_i16();
            let columns: Vec<String> = (0..count).map(|_| column(&mut body)).collect();
            format!("RowDescription ({})", columns.join(", "))
        }
        other => format!("{:?} {}", char::from(other), bytes(&body)),
    }
}

/// A column with everything about it but its table's OID.
fn column(body: &mut BytesMut) -> String {
    let end = body.iter().position(|byte| *byte == 0).unwrap();
    let name = bytes(&body.split_to(end));
    body.advance(1);
    let table = if body.get_u32() == 0 { "" } else { " of a table" };
    let (attribute, oid, length, modifier, format) =
        (body.get_i16(), body.get_u32(), body.get_i16(), body.get_i32(), body.get_i16());
    format!("{name}{table} {attribute} type {oid} length {length} modifier {modifier} format {format}")
}

/// Fields of an error or a notice, without the source code's.
fn report(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0).filter(|field| !field.is_empty() && !b"FLR".contains(&field[0]));
    let mut fields: Vec<String> =
        fields.map(|field| format!("{}={}", char::from(field[0]), bytes(&field[1..]))).collect();
    fields.sort();
    fields.join(" ")
}

fn strings(body: &[u8]) -> Vec<String> {
    body.strip_suffix(b"\0").unwrap_or(body).split(|byte| *byte == 0).map(bytes).collect()
}

fn bytes(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') => {
            text.replace('\n', "\\n").replace('\t', "\\t")
        }
        _ => body.iter().fold("0x".to_owned(), |shown, byte| format!("{shown}{byte:02x}")),
    }
}
