/** How it works, in plain words with the formulas. */
export function About({ isGerman }: { readonly isGerman: boolean }) {
  return isGerman ? <German /> : <English />;
}

function English() {
  return (
    <article class="about">
      <h1>What is this?</h1>
      <p>
        A search turns your words into a vector, and shows the documents whose vectors lie closest. It gives everybody
        the same answer. Here a small adapter stands between the words and the search. It moves <em>your</em> query a
        little, and leaves documents and embedder alone.
      </p>
      <h2>Your click is an exact gradient</h2>
      <p>
        You chose one of the documents that were shown. The page asks how surprised it was by that, and in which
        direction your query would have to move so that it is less surprised.
      </p>
      <Formula>loss = −log( e^(cos(q, chosen) / T) ÷ Σ e^(cos(q, shown) / T) ), T = 0.1</Formula>
      <p>
        That direction comes from a formula, not from sampling. It takes some microseconds in plain JavaScript and
        WebAssembly.
      </p>
      <h2>Two speeds</h2>
      <p>
        <strong>Recall</strong> keeps up to 120 of your queries, each with the step that your clicks added up to. A new
        query is moved by the queries that it resembles:
      </p>
      <Formula>wⱼ = e^(28 cos(q, qⱼ)) ÷ ( e^(28 · 0.6) + Σ e^(28 cos(q, qᵢ)) )</Formula>
      <p>
        So a query that resembles nothing stays where it is. The circles in the map are these kept queries, as large as
        their share. The <strong>slow weights</strong> are one direction that is general to you. They act only where a
        query leaves open what is meant: a name stands out of the index, and is left alone.
      </p>
      <h2>What it costs elsewhere</h2>
      <p>
        After each click, 300 documents are searched by their own names, before and after. “Elsewhere” is the change of
        their mean reciprocal rank. Turn up the eagerness, and watch gain and cost grow together.
      </p>
      <h2>Time, and forgetting</h2>
      <p>
        What you are to this page is a list of choices. The state is what learning from them in turn gives, to the bit.
        So you can go back, go on from there, or be forgotten: the list is deleted, and with it everything that came
        from it.
      </p>
      <h2>What it does not do</h2>
      <p>
        The embedder is a bag of English words. It does not see order or negation. A choice teaches what you meant by a
        query, not what is true. Measured gains on real people, with all misses, are in the documentation.
      </p>
    </article>
  );
}

function German() {
  return (
    <article class="about">
      <h1>Was ist das?</h1>
      <p>
        Eine Suche macht aus deinen Worten einen Vektor und zeigt die Dokumente, deren Vektoren am nächsten liegen. Sie
        gibt allen dieselbe Antwort. Hier steht ein kleiner Adapter zwischen den Worten und der Suche. Er bewegt{" "}
        <em>deine</em> Anfrage ein wenig und lässt Dokumente und Embedder, wie sie sind.
      </p>
      <h2>Dein Klick ist ein exakter Gradient</h2>
      <p>
        Du hast eines der gezeigten Dokumente gewählt. Die Seite fragt, wie sehr sie das überrascht hat, und wohin deine
        Anfrage rücken müsste, damit es sie weniger überrascht.
      </p>
      <Formula>loss = −log( e^(cos(q, gewählt) / T) ÷ Σ e^(cos(q, gezeigt) / T) ), T = 0,1</Formula>
      <p>
        Diese Richtung kommt aus einer Formel, nicht aus Stichproben. Das dauert einige Mikrosekunden in JavaScript und
        WebAssembly.
      </p>
      <h2>Zwei Geschwindigkeiten</h2>
      <p>
        <strong>Recall</strong> behält bis zu 120 deiner Anfragen, jede mit dem Schritt, zu dem sich deine Klicks
        addiert haben. Eine neue Anfrage wird von denen bewegt, denen sie gleicht:
      </p>
      <Formula>wⱼ = e^(28 cos(q, qⱼ)) ÷ ( e^(28 · 0,6) + Σ e^(28 cos(q, qᵢ)) )</Formula>
      <p>
        Eine Anfrage, die keiner gleicht, bleibt also, wo sie ist. Die Kreise der Karte sind diese Anfragen, so groß wie
        ihr Anteil. Die <strong>langsamen Gewichte</strong> sind eine Richtung, die dir allgemein eigen ist. Sie wirken
        nur, wo eine Anfrage offen lässt, was gemeint ist: ein Name ragt aus dem Index heraus und bleibt unberührt.
      </p>
      <h2>Was es anderswo kostet</h2>
      <p>
        Nach jedem Klick werden 300 Dokumente bei ihrem Namen gesucht, ohne und mit dem Gelernten. „Anderswo“ ist die
        Änderung des mittleren reziproken Rangs. Dreh den Eifer auf und sieh, wie Gewinn und Kosten zusammen wachsen.
      </p>
      <h2>Zeit und Vergessen</h2>
      <p>
        Für diese Seite bist du eine Liste von Klicks. Der Zustand ist, was das Lernen aus ihnen der Reihe nach ergibt,
        auf das Bit genau. Darum kannst du zurückgehen, von dort weitergehen oder vergessen werden: die Liste wird
        gelöscht, und mit ihr alles, was aus ihr kam.
      </p>
      <h2>Was es nicht tut</h2>
      <p>
        Der Embedder ist ein Sack englischer Wörter. Er sieht weder Reihenfolge noch Verneinung. Ein Klick lehrt, was du
        mit einer Anfrage meinst, nicht, was wahr ist. Gewinne an echten Menschen, mit allen Fehlschlägen, stehen in der
        Dokumentation.
      </p>
    </article>
  );
}

function Formula({ children }: { readonly children: string }) {
  return <p class="formula">{children}</p>;
}
