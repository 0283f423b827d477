// Asks for the API token when the platform says 401. It is kept in memory only: a reload asks again.
import { useEffect, useState, type FormEvent } from "react";
import { askTokenWith, Problem } from "./client";
import { Dialog } from "./parts/Dialog";

interface Asked {
  again: boolean;
  give: (token: string) => void;
  refuse: (problem: Problem) => void;
}

export function TokenDialog() {
  const [asked, setAsked] = useState<Asked | null>(null);
  useEffect(() => askTokenWith((again) => new Promise((give, refuse) => setAsked({ again, give, refuse }))), []);
  if (asked === null) return null;

  const give = (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const token = String(new FormData(e.currentTarget).get("token")).trim();
    setAsked(null);
    asked.give(token);
  };
  const close = () => {
    setAsked(null);
    asked.refuse(new Problem(401, "Not signed in", "the platform asks for a token"));
  };
  return (
    <Dialog title="API token" onClose={close}>
      <form onSubmit={give} className="form">
        <p className="quiet">
          This platform asks for the token that <code>TIELINE_API_TOKEN</code> sets. It stays in this page's memory
          only.
        </p>
        {asked.again && (
          <p className="problem" role="alert">
            That token was not accepted.
          </p>
        )}
        <label>
          Token
          <input name="token" type="password" autoComplete="off" required spellCheck={false} />
        </label>
        <div className="form-end">
          <button className="button primary">Sign in</button>
        </div>
      </form>
    </Dialog>
  );
}
