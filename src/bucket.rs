//! How does a log get into a bucket? Over the S3 API with conditional puts: tiles are created and never replaced, the
//! checkpoint is replaced only over the one that was read, so of two writers one is refused.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use audit::{Stored, Target, TargetError};
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
    UpdateVersion,
    aws::{AmazonS3, AmazonS3Builder},
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
    path::Path,
};
use tokio::runtime::Runtime;

/// Longest wait for one operation, repeated attempts included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A bucket as a place to publish in.
pub(crate) struct Bucket {
    name: String,
    store: AmazonS3,
    prefix: String,
    /// Present until dropped. Operations block the thread that mirrors, which is nobody else's.
    runtime: Option<Runtime>,
}

impl Bucket {
    /// Reads the access key; asks the store nothing yet.
    pub(crate) fn open(settings: &config::Bucket) -> anyhow::Result<Bucket> {
        let (id, key) = (settings.access_key_id.read()?, settings.secret_access_key.read()?);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.name)
            .with_region(&settings.region)
            .with_access_key_id(id.as_str())
            .with_secret_access_key(key.as_str())
            .with_retry(RetryConfig { max_retries: 2, retry_timeout: TIMEOUT, ..RetryConfig::default() })
            .with_http_connector(Line::open()?);
        if let Some(endpoint) = &settings.endpoint {
            let is_plain = endpoint.scheme() == "http";
            let endpoint = endpoint.as_str().trim_end_matches('/');
            builder = builder.with_endpoint(endpoint).with_allow_http(is_plain);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Bucket {
            name: format!("s3://{}/{}", settings.name, settings.prefix),
            store: builder.build()?,
            prefix: settings.prefix.clone(),
            runtime: Some(runtime),
        })
    }

    fn at(&self, path: &str) -> Result<Path, TargetError> {
        Path::parse(format!("{}{path}", self.prefix)).map_err(|error| TargetError(error.to_string()))
    }

    /// Waits for an operation, no longer than a mirror may.
    fn wait<T>(
        &self,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, TargetError> {
        let runtime = self.runtime.as_ref().expect("present until dropped");
        let bounded = runtime.block_on(async { tokio::time::timeout(TIMEOUT, operation).await });
        bounded.map_err(|_| TargetError(format!("{}: no answer within {} s", self.name, TIMEOUT.as_secs())))
    }

    /// Puts bytes; none when the condition does not hold.
    fn put(&self, path: &str, bytes: &[u8], mode: PutMode) -> Result<Option<String>, TargetError> {
        let (at, payload) = (self.at(path)?, PutPayload::from(bytes.to_vec()));
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.wait(self.store.put_opts(&at, payload, options))? {
            Ok(result) => Ok(Some(result.e_tag.ok_or_else(|| self.without_tags())?)),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(None),
            // Whoever holds a tag has read an object: it was removed since.
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(TargetError(error.to_string())),
        }
    }

    fn without_tags(&self) -> TargetError {
        TargetError(format!("{}: the store gives no ETag, so nobody could tell two writers apart", self.name))
    }
}

impl Target for Bucket {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn read(&self, path: &str) -> Result<Option<Stored>, TargetError> {
        let at = self.at(path)?;
        let get = async {
            let found = self.store.get(&at).await?;
            let tag = found.meta.e_tag.clone();
            Ok((tag, found.bytes().await?))
        };
        match self.wait(get)? {
            Ok((tag, bytes)) => {
                let tag = tag.ok_or_else(|| self.without_tags())?;
                Ok(Some(Stored { bytes: bytes.to_vec(), tag }))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(TargetError(error.to_string())),
        }
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, TargetError> {
        Ok(self.put(path, bytes, PutMode::Create)?.is_some())
    }

    fn replace(&self, path: &str, bytes: &[u8], over: Option<&str>) -> Result<Option<String>, TargetError> {
        let version = |tag: &str| UpdateVersion { e_tag: Some(tag.to_owned()), version: None };
        self.put(path, bytes, over.map_or(PutMode::Create, |tag| PutMode::Update(version(tag))))
    }

    fn remove(&self, path: &str) -> Result<(), TargetError> {
        let at = self.at(path)?;
        match self.wait(self.store.delete(&at))? {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(TargetError(error.to_string())),
        }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // The last holder may stand in another runtime, where waiting for this one is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Bucket").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The HTTP client that everything else here leaves by, so that no second one is built in.
#[derive(Clone, Debug)]
struct Line(reqwest::Client);

impl Line {
    fn open() -> anyhow::Result<Line> {
        let redirect = reqwest::redirect::Policy::none();
        Ok(Line(reqwest::Client::builder().timeout(TIMEOUT).redirect(redirect).build()?))
    }
}

impl HttpConnector for Line {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Line {
    // Spelt out: the trait's own macro is not worth a dependency.
    fn call<'a, 'f>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let sent = self
                .0
                .request(parts.method, parts.uri.to_string())
                .headers(parts.headers)
                .body(reqwest::Body::wrap(body))
                .send()
                .await
                .map_err(failure)?;
            let mut response = http::Response::new(());
            *response.status_mut() = sent.status();
            *response.headers_mut() = sent.headers().clone();
            let body = sent.bytes().await.map_err(failure)?;
            Ok(response.map(|()| body.to_vec().into()))
        })
    }
}

fn failure(error: reqwest::Error) -> HttpError {
    let kind = match () {
        () if error.is_timeout() => HttpErrorKind::Timeout,
        () if error.is_connect() => HttpErrorKind::Connect,
        () if error.is_decode() => HttpErrorKind::Decode,
        () => HttpErrorKind::Request,
    };
    HttpError::new(kind, error)
}

#[cfg(test)]
mod tests;
