// A callback URL without its query, which may hold the receiver's secret.
export function CallbackUrl({ url }: { url: string }) {
  const [shown, query] = url.split("?", 2);
  return (
    <code className="wrap">
      {shown}
      {query !== undefined && "?…"}
    </code>
  );
}
