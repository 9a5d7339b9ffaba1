import { DesignPage } from "@/features/design/DesignPage";

export function DesignRoute() {
  return (
    <main>
      <DesignPage />
    </main>
  );
}
