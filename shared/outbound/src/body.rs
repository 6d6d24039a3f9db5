//! How much of an answer is taken in, and is it the JSON that was promised?

use http::header;
use serde::de::DeserializeOwned;

/// Most bytes of one answer, after decompression.
pub const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Most bytes of an answer that reports an error; of it, [`crate::failure`] shows a line.
pub(crate) const ERROR_BYTES_MAX: usize = 64 << 10;
/// How much is gathered in the first piece, which grows: most answers are small.
const FIRST_BYTES: usize = 256 << 10;
/// How much is gathered in each other piece: so much that whoever frees it gives it back to all threads, not to one.
const PIECE_BYTES: usize = 4 << 20;
/// Parsing more than this would hold up the other calls on the thread.
const INLINE_BYTES_MAX: usize = 1 << 20;

/// What was wrong with a body, in words for a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadBody {
    /// It did not end in time or the connection broke.
    #[error("the answer broke off: {0}")]
    Broken(&'static str),
    /// It is larger than we take in.
    #[error("answered more than {} MiB; ask for less", ANSWER_BYTES_MAX >> 20)]
    TooLong,
    /// It is something else.
    #[error("answered {0}, expected JSON")]
    NotJson(String),
    /// It is JSON, but not what the API promises.
    #[error("answered JSON that its API does not describe (line {line}, column {column})")]
    Unexpected {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
}

/// Reads at most `most` bytes; more is refused, and the rest stays unread.
pub(crate) async fn read(response: &mut reqwest::Response, most: usize) -> Result<Vec<u8>, BadBody> {
    // Absent when the body is compressed: then only counting helps.
    let told = response.content_length().unwrap_or(0);
    if told > most as u64 {
        return Err(BadBody::TooLong);
    }
    // Put together at the end: a buffer that grows is there twice each time it does, and a chunk holds the buffer that it
    // was read into.
    let (mut pieces, mut length) = (vec![Vec::new()], 0);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if length + chunk.len() > most => return Err(BadBody::TooLong),
            Ok(Some(chunk)) => {
                length += chunk.len();
                let room = if pieces.len() == 1 { FIRST_BYTES } else { PIECE_BYTES };
                match pieces.last_mut() {
                    Some(last) if last.len() + chunk.len() <= room => last.extend_from_slice(&chunk),
                    _ => {
                        // At once as large as it becomes: each size that it grew through would be kept for a while too.
                        let mut piece = Vec::with_capacity(PIECE_BYTES.max(chunk.len()));
                        piece.extend_from_slice(&chunk);
                        pieces.push(piece);
                    }
                }
            }
            Ok(None) => return Ok(whole(pieces, length)),
            Err(error) if error.is_decode() => return Err(BadBody::Broken("it does not decompress")),
            Err(_) => return Err(BadBody::Broken("the connection was closed")),
        }
    }
}

/// All pieces as one. Each is given back once it is copied, so that little more than the answer is ever there.
fn whole(pieces: Vec<Vec<u8>>, length: usize) -> Vec<u8> {
    let mut whole = Vec::with_capacity(length);
    pieces.into_iter().for_each(|it| whole.extend_from_slice(&it));
    whole
}

/// The answer as `T`. What a wrong answer says is left out: it may hold anything.
pub(crate) async fn json<T: DeserializeOwned + Send + 'static>(
    kind: Kind,
    bytes: Vec<u8>,
) -> Result<T, BadBody> {
    if kind.html || bytes.trim_ascii_start().starts_with(b"<") {
        return Err(BadBody::NotJson("text/html (a login page or proxy?)".to_owned()));
    }
    let parse = move || match serde_json::from_slice(&bytes) {
        Ok(parsed) => Ok(parsed),
        Err(error) if error.is_data() => {
            Err(BadBody::Unexpected { line: error.line(), column: error.column() })
        }
        Err(_) => Err(BadBody::NotJson(kind.word)),
    };
    if kind.length <= INLINE_BYTES_MAX {
        return parse();
    }
    tokio::task::spawn_blocking(parse).await.unwrap_or(Err(BadBody::Broken("it could not be parsed")))
}

/// What an answer says it is.
pub(crate) struct Kind {
    html: bool,
    word: String,
    length: usize,
}

impl Kind {
    /// Reads the content type; of an unknown one only plain characters are kept.
    pub(crate) fn of(response: &reqwest::Response) -> Kind {
        let told = response.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let plain = |it: &char| it.is_ascii_alphanumeric() || "/+-.".contains(*it);
        let word: String = told.unwrap_or_default().chars().take_while(plain).take(60).collect();
        let html =
            word.eq_ignore_ascii_case("text/html") || word.eq_ignore_ascii_case("application/xhtml+xml");
        let word = match word.is_empty() {
            true => "something without a content type".to_owned(),
            false if word.to_ascii_lowercase().ends_with("json") => format!("broken {word}"),
            false => word,
        };
        Kind { html, word, length: 0 }
    }

    /// Notes how long the body turned out to be.
    pub(crate) fn with_length(self, length: usize) -> Kind {
        Kind { length, ..self }
    }

    /// Whether it says it is a web page.
    pub(crate) fn is_html(&self) -> bool {
        self.html
    }
}
