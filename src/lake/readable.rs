//! An object store as the lake sees it: nothing is written, and lists leave out what is no data.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Reads another store. Lists do not name empty objects, nor those that writers keep for themselves: whose name, or a
/// folder's on the way, begins with a dot or an underscore (`_SUCCESS`, `_delta_log/`, `.part.crc`), as Hive and Spark
/// have it. A partition's folder (`_a=1`) may begin with an underscore.
#[derive(Debug)]
pub(super) struct Readable(pub(super) Arc<dyn ObjectStore>);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether an object or folder below a listed one is data.
fn is_data(prefix: Option<&Path>, location: &Path) -> bool {
    let hidden = |part: &str| part.starts_with('.') || part.starts_with('_') && !part.contains('=');
    match prefix.and_then(|prefix| location.prefix_match(prefix)) {
        Some(mut parts) => !parts.any(|part| hidden(part.as_ref())),
        None => !location.parts().any(|part| hidden(part.as_ref())),
    }
}

fn refused(operation: &str) -> Error {
    Error::NotSupported { source: format!("the lake is read only: {operation}").into() }
}

#[async_trait]
impl ObjectStore for Readable {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(refused("put"))
    }
    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("put"))
    }
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(location, ranges).await
    }
    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| Err(refused("delete"))).boxed()
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let from = prefix.cloned();
        let data = move |object: &ObjectMeta| object.size > 0 && is_data(from.as_ref(), &object.location);
        self.0.list(prefix).try_filter(move |object| std::future::ready(data(object))).boxed()
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut listed = self.0.list_with_delimiter(prefix).await?;
        listed.objects.retain(|object| object.size > 0 && is_data(prefix, &object.location));
        listed.common_prefixes.retain(|folder| is_data(prefix, folder));
        Ok(listed)
    }
    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(refused("copy"))
    }
}
