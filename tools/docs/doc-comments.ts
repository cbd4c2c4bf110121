import { readFileSync } from 'node:fs';
import ts from 'typescript';

/** The doc comment before each `NAME:` of every object literal in a source file, as one line of Markdown. */
export function docComments(file: string): Map<string, string> {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const found = new Map<string, string>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name)) {
      const text = commentOf(node);
      if (text !== '') found.set(node.name.text, text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function commentOf(node: ts.PropertyAssignment): string {
  const comments = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  const last = comments.at(-1)?.comment;
  const text = typeof last === 'string' ? last : (ts.getTextOfJSDocComment(last) ?? '');
  return text.replace(/\s+/g, ' ').trim();
}
